"""Throughput of incoming webhooks, and of the jobs that they complete."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.children import Child, running
from bench.machine import busy_share, cpu_seconds
from bench.report import Finding, Row, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores, free_port
from bench.waiting import programs
from bench.waiting.waiting_jobs import fill

TIMEOUT = 600.0
_SEQUENTIAL = 20


@dataclass(frozen=True)
class Environment:
    """An API server with its database and its fake provider."""

    store: str
    port: int
    server: int
    """Its process id."""
    environment: dict[str, str]
    provider: Child
    calls: list[tuple[str, str]]
    """Task id and webhook path of each waiting job."""


@dataclass
class Measured:
    """Measurements of one step."""

    name: str
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """CPU seconds per item."""
    seconds: list[float] = field(default_factory=list)

    def row(self) -> Row:
        """Return the row of the report."""
        values = [
            f"{median(self.rates):,.0f}" if self.rates else "",
            milliseconds(median(self.cpu)) if self.cpu else "",
            milliseconds(median(self.seconds)) if self.seconds else "",
            milliseconds(percentile(self.seconds, 0.95)) if self.seconds else "",
        ]
        return Row(self.name, values, {"rates": self.rates, "cpu": self.cpu, "seconds": self.seconds})


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Send webhooks without and with a worker; each round uses new jobs."""
    finding = Finding(
        "waiting-webhooks",
        f"Webhooks signed like Replicate's, {sizes.webhooks:,} jobs, median of {sizes.rounds}",
        ["per second", "CPU, ms each", "median, ms", "95 %, ms"],
    )
    calls, jobs = Measured("webhooks accepted, no worker"), Measured("jobs completed, videos stored")
    sequential = Measured("one webhook at a time → its job completed")
    for number in range(sizes.rounds):
        with _environment(stores, sizes.webhooks) as env:
            progress(f"round {number + 1}/{sizes.rounds}: webhooks without a worker")
            finding.noise.append(busy_share())
            with _cpu_measured(calls, sizes.webhooks, stores, env.server):
                result = _send(env, env.calls)
            calls.rates.append(sizes.webhooks / result["took"])
            calls.seconds += result["seconds"]
        with _environment(stores, sizes.webhooks + _SEQUENTIAL) as env, _worker(stores, env) as worker:
            progress(f"round {number + 1}/{sizes.rounds}: one webhook at a time")
            sequential.seconds += [_complete_one(stores, env, call) for call in env.calls[:_SEQUENTIAL]]
            progress(f"round {number + 1}/{sizes.rounds}: webhooks with a worker")
            with _cpu_measured(jobs, sizes.webhooks, stores, env.server, worker.pid):
                result = _send(env, env.calls[_SEQUENTIAL:])
                ended = _wait_until_ended(stores, env)
            jobs.rates.append(sizes.webhooks / (ended - result["began"]))
            _check(stores, env)
    finding.rows = [calls.row(), jobs.row(), sequential.row()]
    finding.notes = [
        "The API, a worker with 16 slots, PostgreSQL and the fake provider share the cores. The provider sends over 32 "
        "connections, and serves polls and videos. For a completed job, the task was polled, and its video downloaded, "
        "probed and stored. CPU is that of the API, the worker and PostgreSQL.",
    ]
    return finding


@contextlib.contextmanager
def _cpu_measured(measured: Measured, times: int, stores: Stores, *programs: int) -> Iterator[None]:
    """Measure the CPU time of programs and of PostgreSQL."""
    assert stores.server_pid is not None
    pids = (*programs, stores.server_pid)
    before = cpu_seconds(*pids)
    yield
    measured.cpu.append((cpu_seconds(*pids) - before) / times)


@contextlib.contextmanager
def _environment(stores: Stores, jobs: int) -> Iterator[Environment]:
    """Run an API server, with jobs that wait for webhooks."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(stores.database())
        provider = stack.enter_context(running([sys.executable, "-m", "bench.waiting.fakes", "replicate"], {}))
        known = provider.ask("add_tasks", tasks=jobs)
        fill(stores, store, jobs, provider="replicate", model=known["model"], status="starting", strategy="webhook")
        port = free_port()
        public = {"public_url": f"http://127.0.0.1:{port}"}
        environment = programs.settings(store, stores.folder / "webhooks", **public) | known["environment"]
        server = stack.enter_context(programs.server(port, environment))
        query = "SELECT provider_job_id, '/api/webhooks/job/' || job || '?token=' || token FROM submissions"
        yield Environment(
            store, port, server.pid, environment, provider, [tuple(row) for row in stores.rows(query, store)]
        )


def _worker(stores: Stores, env: Environment) -> contextlib.AbstractContextManager[Child]:
    return programs.worker(stores, env.store, env.environment, "generate")


def _send(env: Environment, calls: list[tuple[str, str]]) -> dict[str, Any]:
    result = env.provider.ask("send_webhooks", TIMEOUT, port=env.port, calls=calls)
    if result["statuses"] != {"200": len(calls)}:
        raise RuntimeError(f"responses to the webhooks: {result['statuses']}")
    return result


def _complete_one(stores: Stores, env: Environment, call: tuple[str, str]) -> float:
    """Return the seconds from one webhook to the recorded end of its job."""
    result = _send(env, [call])
    began: float = result["began"]
    return _wait_until_ended(stores, env, where=f"WHERE provider_job_id = '{call[0]}'") - began


def _wait_until_ended(stores: Stores, env: Environment, where: str = "") -> float:
    """Wait for all jobs to end, and return the time of the last end."""
    query = f"""SELECT count(*) FILTER (WHERE finished_at IS NULL), extract(epoch FROM max(finished_at))::float8
                FROM execution_jobs {where}"""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        [(left, last)] = stores.rows(query, env.store)
        if not left:
            return float(last)
        time.sleep(0.2)
    raise RuntimeError(f"{left} jobs have not ended")


def _check(stores: Stores, env: Environment) -> None:
    """Check that every job has succeeded and stored its video."""
    query = """SELECT count(*) FILTER (WHERE status <> 'succeeded'), (SELECT count(DISTINCT job) FROM artifacts)
               FROM execution_jobs"""
    [(bad, videos)] = stores.rows(query, env.store)
    if bad or videos != len(env.calls):
        raise RuntimeError(f"{bad} jobs did not succeed, and of {len(env.calls)} videos there are {videos}")
