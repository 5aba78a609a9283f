"""Submissions over HTTP: accepted per second, and from the first request to the last recorded end."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.children import Child, running
from bench.machine import busy_share, cpu_seconds
from bench.report import Finding, Row, Verdict, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores, free_port, takes_connections
from bench.systems import CALLSHEET, session
from bench.waiting import programs

CONNECTIONS = 32
WARM_UP = 500
PATH = "/api/execute"
TIMEOUT = 600.0


@dataclass
class Measured:
    """Measurements of one server."""

    name: str
    accepted: list[float] = field(default_factory=list)
    """Requests per second."""
    finished: list[float] = field(default_factory=list)
    """Executions per second."""
    cpu: list[float] = field(default_factory=list)
    """CPU seconds of the server per request."""
    seconds: list[float] = field(default_factory=list)

    def row(self) -> Row:
        """Return the row of the report."""
        values = [
            f"{median(self.accepted):,.0f}",
            f"{median(self.finished):,.0f}" if self.finished else "",
            milliseconds(median(self.cpu)),
            milliseconds(median(self.seconds)),
            milliseconds(percentile(self.seconds, 0.99)),
        ]
        return Row(self.name, values, {"accepted": self.accepted, "finished": self.finished, "cpu": self.cpu})

    def add(self, result: dict[str, Any], requests: int, cpu: float) -> None:
        """Add the measurement of one round."""
        self.accepted.append(requests / (result["submitted"] - result["began"]))
        self.cpu.append(cpu / requests)
        self.seconds += result["seconds"]


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure both servers in turns, then one burst."""
    finding = Finding(
        "http",
        f"POST {PATH} over {CONNECTIONS} kept-alive connections, {sizes.requests:,} requests, median of {sizes.rounds}",
        ["accepted/s", "succeeded/s", "server's CPU, ms each", "median, ms", "99 %, ms"],
    )
    ours, bare = Measured("Callsheet, one-job plans, with a worker"), Measured("bare FastAPI route, one INSERT")
    with running([sys.executable, "-m", "bench.peers.http_client"], {}) as client:
        for number in range(sizes.rounds):
            progress(f"round {number + 1}/{sizes.rounds}: Callsheet")
            _measure_callsheet(ours, stores, client, sizes.requests, finding)
            progress(f"round {number + 1}/{sizes.rounds}: bare route")
            _measure_bare(bare, stores, client, sizes.requests, finding)
        progress(f"a burst of {sizes.burst:,} requests")
        burst = Measured(f"Callsheet, a burst of {sizes.burst:,}")
        _measure_callsheet(burst, stores, client, sizes.burst, finding)
    finding.rows = [ours.row(), bare.row(), burst.row()]
    ratio = median(ours.accepted) / median(bare.accepted)
    finding.verdicts = [
        Verdict("at least 0.8 of a bare route", f"{ratio:.2f}×", ratio >= 0.8),
        Verdict("a burst loses none", f"{sizes.burst:,} accepted, {sizes.burst:,} succeeded", True),
    ]
    finding.notes = [
        "Server, worker, PostgreSQL and the client share the cores. Each accepted plan was validated, and is on disk "
        "before its response. The run fails if an accepted plan does not succeed.",
    ]
    return finding


def _measure_callsheet(measured: Measured, stores: Stores, client: Child, requests: int, finding: Finding) -> None:
    port = free_port()
    with session(CALLSHEET, stores) as running_session:
        store = running_session.store
        environment = programs.settings(store, stores.folder / "http")
        with programs.server(port, environment, "bench.peers.callsheet") as server:
            _post(client, port, WARM_UP)
            before = _wait_until_ended(stores, store)
            finding.noise.append(busy_share())
            cpu = cpu_seconds(server.pid)
            result = _post(client, port, requests)
            measured.add(result, requests, cpu_seconds(server.pid) - cpu)
            after = _wait_until_ended(stores, store)
            measured.finished.append(requests / (time.monotonic() - result["began"]))
    if after - before != requests:
        raise RuntimeError(f"{requests:,} plans were accepted, and {after - before:,} succeeded")


def _measure_bare(measured: Measured, stores: Stores, client: Child, requests: int, finding: Finding) -> None:
    with stores.database() as store, _bare_route(store) as (server, port):
        _post(client, port, WARM_UP)
        finding.noise.append(busy_share())
        cpu = cpu_seconds(server.pid)
        result = _post(client, port, requests)
        measured.add(result, requests, cpu_seconds(server.pid) - cpu)
        if stores.value("SELECT count(*) FROM jobs", store) != WARM_UP + requests:
            raise RuntimeError("the bare route lost requests")


@contextlib.contextmanager
def _bare_route(store: str) -> Iterator[tuple[Child, int]]:
    port = free_port()
    arguments = [sys.executable, "-m", "bench.peers.bare_route", str(port)]
    with programs.program(arguments, {"BENCH_STORE": store}, lambda: takes_connections(port)) as server:
        yield server, port


def _post(client: Child, port: int, requests: int) -> dict[str, Any]:
    result = client.ask("post", TIMEOUT, port=port, path=PATH, requests=requests, connections=CONNECTIONS)
    if result["statuses"] != {"202": requests}:
        raise RuntimeError(f"responses: {result['statuses']}")
    return result


def _wait_until_ended(stores: Stores, store: str) -> int:
    """Wait until all executions have ended; return how many have succeeded."""
    query = """SELECT count(*) FILTER (WHERE status IN ('queued', 'running')),
                      count(*) FILTER (WHERE status = 'succeeded') FROM executions"""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        [(left, succeeded)] = stores.rows(query, store)
        if not left:
            return int(succeeded)
        time.sleep(0.05)
    raise RuntimeError(f"{left} executions have not ended")
