"""Webhooks that end jobs: how many are taken in, and how many jobs end by them, files and all."""

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
from bench.waiting.rows import fill

LONGEST = 600.0
_ALONE = 20


@dataclass(frozen=True)
class Site:
    """An API server, and what its database and its provider know."""

    store: str
    port: int
    server: int
    """Its process id."""
    environment: dict[str, str]
    provider: Child
    calls: list[tuple[str, str]]
    """Of each waiting job: the task that it waits for, and where its end is told."""


@dataclass
class Measured:
    """What was found of one thing."""

    name: str
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Seconds for each."""
    seconds: list[float] = field(default_factory=list)

    def row(self) -> Row:
        """Return it for the table."""
        values = [
            f"{median(self.rates):,.0f}" if self.rates else "",
            milliseconds(median(self.cpu)) if self.cpu else "",
            milliseconds(median(self.seconds)) if self.seconds else "",
            milliseconds(percentile(self.seconds, 0.95)) if self.seconds else "",
        ]
        return Row(self.name, values, {"rates": self.rates, "cpu": self.cpu, "seconds": self.seconds})


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Call about jobs while nobody works, and while a worker does; each round on fresh jobs."""
    finding = Finding(
        "waiting-webhooks",
        f"Webhooks signed as Replicate's, {sizes.webhooks:,} jobs, median of {sizes.rounds}",
        ["a second", "CPU, ms each", "median, ms", "95 %, ms"],
    )
    calls, jobs = Measured("calls answered with 200, no worker"), Measured("jobs ended, their films stored")
    alone = Measured("one call at a time → its job ended")
    for number in range(sizes.rounds):
        with _site(stores, sizes.webhooks) as site:
            progress(f"round {number + 1}/{sizes.rounds}: calls alone")
            finding.noise.append(busy_share())
            with _counted(calls, sizes.webhooks, stores, site.server):
                told = _call(site, site.calls)
            calls.rates.append(sizes.webhooks / told["took"])
            calls.seconds += told["seconds"]
        with _site(stores, sizes.webhooks + _ALONE) as site, _worker(stores, site) as worker:
            progress(f"round {number + 1}/{sizes.rounds}: one call at a time")
            alone.seconds += [_one(stores, site, call) for call in site.calls[:_ALONE]]
            progress(f"round {number + 1}/{sizes.rounds}: calls, and a worker")
            with _counted(jobs, sizes.webhooks, stores, site.server, worker.pid):
                told = _call(site, site.calls[_ALONE:])
                ended = _all_ended(stores, site)
            jobs.rates.append(sizes.webhooks / (ended - told["began"]))
            _check(stores, site)
    finding.rows = [calls.row(), jobs.row(), alone.row()]
    finding.notes = [
        "The API, a worker with its usual 16 slots, PostgreSQL and the stand-in, which calls over 32 connections and "
        "serves the looks and the films, share the cores. An ended job was looked at, and its film fetched, probed "
        "and stored. CPU is that of the API, the worker and PostgreSQL.",
    ]
    return finding


@contextlib.contextmanager
def _counted(measured: Measured, times: int, stores: Stores, *programs: int) -> Iterator[None]:
    """Count the processor time of programs and of PostgreSQL."""
    assert stores.server_pid is not None
    ours = (*programs, stores.server_pid)
    before = cpu_seconds(*ours)
    yield
    measured.cpu.append((cpu_seconds(*ours) - before) / times)


@contextlib.contextmanager
def _site(stores: Stores, jobs: int) -> Iterator[Site]:
    """Have an API server, and jobs that wait for a provider's calls."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(stores.database())
        provider = stack.enter_context(running([sys.executable, "-m", "bench.waiting.stand_ins", "replicate"], {}))
        known = provider.ask("know", tasks=jobs)
        fill(stores, store, jobs, provider="replicate", model=known["model"], status="starting", strategy="webhook")
        port = free_port()
        public = {"public_url": f"http://127.0.0.1:{port}"}
        environment = programs.settings(store, stores.folder / "webhooks", **public) | known["environment"]
        server = stack.enter_context(programs.server(port, environment))
        asked = "SELECT provider_job_id, '/api/webhooks/job/' || job || '?token=' || token FROM submissions"
        yield Site(store, port, server.pid, environment, provider, [tuple(row) for row in stores.rows(asked, store)])


def _worker(stores: Stores, site: Site) -> contextlib.AbstractContextManager[Child]:
    return programs.worker(stores, site.store, site.environment, "generate")


def _call(site: Site, calls: list[tuple[str, str]]) -> dict[str, Any]:
    told = site.provider.ask("call", LONGEST, port=site.port, calls=calls)
    if told["statuses"] != {"200": len(calls)}:
        raise RuntimeError(f"webhooks were answered with {told['statuses']}")
    return told


def _one(stores: Stores, site: Site, call: tuple[str, str]) -> float:
    """Return the seconds from one call to the recorded end of its job."""
    told = _call(site, [call])
    began: float = told["began"]
    return _all_ended(stores, site, of=f"WHERE provider_job_id = '{call[0]}'") - began


def _all_ended(stores: Stores, site: Site, of: str = "") -> float:
    """Return when the last of the jobs ended."""
    asked = f"""SELECT count(*) FILTER (WHERE finished_at IS NULL), extract(epoch FROM max(finished_at))::float8
                FROM execution_jobs {of}"""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        [(left, last)] = stores.rows(asked, site.store)
        if not left:
            return float(last)
        time.sleep(0.2)
    raise RuntimeError(f"{left} jobs have not ended")


def _check(stores: Stores, site: Site) -> None:
    """See that every job has ended well, with its film."""
    asked = """SELECT count(*) FILTER (WHERE status <> 'succeeded'), (SELECT count(DISTINCT job) FROM artifacts)
               FROM execution_jobs"""
    [(bad, films)] = stores.rows(asked, site.store)
    if bad or films != len(site.calls):
        raise RuntimeError(f"{bad} jobs did not succeed, and of {len(site.calls)} films there are {films}")
