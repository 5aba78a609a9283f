"""Small jobs through each intake, until their ends are reported, beside a worker of the source that only calls back."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from statistics import median

from bench.children import Child, running
from bench.machine import busy_share, cpu_seconds
from bench.report import Finding, Row, Verdict, skipped
from bench.sizes import Sizes
from bench.stores import Stores, free_port
from bench.systems import BULLMQ, BULLMQ_EVERYSEC, CELERY_PREFORK, PEERS_PYTHON
from bench.waiting.resource_monitor import log_statements, measure
from callsheet.db.upgrade import upgrade

JOBS = 2000
WARM_UP_JOBS = 300
OPEN_JOBS = (100, 5_000, 10_000)
_FLAT = 1.5
"""Ratio of two rates of a few statements that counts as none."""
_CALLSHEET = [sys.executable, "-m", "bench.peers.callsheet_intake"]
_PLAIN = [str(PEERS_PYTHON), "-m"]


@dataclass(frozen=True)
class Source:
    """A source of messages, with a worker of its own."""

    intake: str
    worker: str
    """Name of its own worker."""
    work: list[str]
    client: list[str]
    has_store: bool = True
    """It keeps its messages in a Redis server. Otherwise the client is the source."""
    environment: dict[str, str] = field(default_factory=dict)
    do: str = "bulk"
    """What the client is asked for if Callsheet does the work."""


SOURCES = [
    Source(
        "bullmq",
        "Node.js worker of BullMQ, 200 at a time",
        ["node", str(BULLMQ / "worker.mjs")],
        ["node", str(BULLMQ / "submit.mjs")],
    ),
    Source(
        "celery",
        "Celery worker, prefork 2",
        CELERY_PREFORK.work,
        CELERY_PREFORK.submit,
        environment=CELERY_PREFORK.environment,
        do="results",
    ),
    Source(
        "redis-streams",
        "plain reader of the group",
        [*_PLAIN, "bench.peers.redis_streams", "work"],
        [*_PLAIN, "bench.peers.redis_streams", "submit"],
    ),
    Source(
        "polled-api",
        "plain loop, one at a time",
        [sys.executable, "-m", "bench.peers.polled_api", "work"],
        [sys.executable, "-m", "bench.peers.polled_api", "submit"],
        has_store=False,
    ),
]


@dataclass
class Contender:
    """One who does the work, with the measurements of each round."""

    name: str
    client: Child
    do: str
    pids: list[int]
    """Of all its processes, and of its stores."""
    rates: list[float] = field(default_factory=list)
    """Jobs per second."""
    cpu: list[float] = field(default_factory=list)
    """CPU time per job, in ms."""

    def measure(self, jobs: int) -> None:
        """Measure one round."""
        before = cpu_seconds(*self.pids)
        found = self.client.ask(self.do, jobs=jobs, seconds=600)
        self.cpu.append((cpu_seconds(*self.pids) - before) * 1000 / jobs)
        self.rates.append(jobs / (found["ended"] - found["began"]))


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure all sources, one after the other: its own worker and Callsheet in turns."""
    jobs = min(JOBS, sizes.jobs)
    finding = Finding(
        "intakes",
        f"{jobs:,} small jobs, fsync everysec, median of {sizes.rounds}",
        ["jobs/s", "least to most", "ratio", "CPU ms a job", "MiB", "CPU", "statements/s"],
    )
    for source in SOURCES:
        if sizes.only not in source.intake:
            continue
        if (reason := BULLMQ_EVERYSEC.missing()) is not None:
            finding.rows.append(skipped(source.intake, reason))
            continue
        with finding.errors_of(source.intake):
            _measure_speed(finding, source, stores, jobs, sizes.rounds, progress)
        with finding.errors_of(f"{source.intake}: open jobs"):
            _measure_open(finding, source, stores, sizes, progress)
    finding.notes = [
        "Callsheet is an intake and a worker, each one process. Both, PostgreSQL, Redis and the client that adds the "
        "jobs share the machine. CPU is that of all of them but the client; of open jobs, that of the intake alone.",
    ]
    return finding


def _measure_speed(
    finding: Finding, source: Source, stores: Stores, jobs: int, rounds: int, progress: Callable[[str], None]
) -> None:
    with _own_worker(stores, source) as own, _callsheet(stores, source) as callsheet:
        for contender in (own, callsheet):
            contender.client.ask(contender.do, jobs=min(WARM_UP_JOBS, jobs), seconds=120)
        for number in range(rounds):
            for contender in (own, callsheet):
                progress(f"{source.intake}, round {number + 1}/{rounds}: {contender.name}")
                finding.noise.append(busy_share())
                contender.measure(jobs)
    ratios = [ours / theirs for ours, theirs in zip(callsheet.rates, own.rates, strict=True)]
    finding.rows += [_row(source, own, ""), _row(source, callsheet, f"{median(ratios):.2f}×")]
    promise = f"{source.intake}: at least the speed of the {source.worker}"
    finding.verdicts.append(Verdict(promise, f"{median(ratios):.2f}×", median(ratios) >= 1))


def _row(source: Source, contender: Contender, ratio: str) -> Row:
    rates, cpu = contender.rates, median(contender.cpu)
    values = [f"{median(rates):,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}", ratio, f"{cpu:.2f}", "", "", ""]
    return Row(f"{source.intake}: {contender.name}", values, {"rates": rates, "cpuMsPerJob": contender.cpu})


def _measure_open(
    finding: Finding, source: Source, stores: Stores, sizes: Sizes, progress: Callable[[str], None]
) -> None:
    """Measure the intake process alone, while so many jobs of it are open and nothing happens to them."""
    with _store(stores, source) as store, stores.database() as dsn:
        asyncio.run(upgrade(dsn))
        log_statements(stores, dsn)
        environment = _environment(source, stores, store) | {"BENCH_DATABASE": dsn, "BENCH_TASKS": str(max(OPEN_JOBS))}
        with (
            running(source.client, environment) as client,
            running([*_CALLSHEET, source.intake], environment) as intake,
        ):
            before, rates = 0, []
            for jobs in sorted({min(number, sizes.jobs) for number in OPEN_JOBS}):
                progress(f"{source.intake}: {jobs:,} open jobs")
                client.ask("open", jobs=jobs - before, seconds=600)
                _wait_for_messages(stores, dsn, jobs)
                before = jobs
                used = measure(stores, intake.pid, sizes.watched_seconds)
                values = [f"{used.memory / 2**20:.0f}", f"{used.cpu / used.seconds:.1%}"]
                rates.append(used.statements / used.seconds)
                values += [f"{rates[-1]:.1f}"]
                finding.rows.append(
                    Row(f"{source.intake}: {jobs:,} open jobs", ["", "", "", "", *values], asdict(used))
                )
    promise = f"{source.intake}: no more statements per second with {before:,} open jobs than with {OPEN_JOBS[0]}"
    found = f"{rates[0]:.1f} and {rates[-1]:.1f}"
    finding.verdicts.append(Verdict(promise, found, rates[-1] <= _FLAT * rates[0]))


def _wait_for_messages(stores: Stores, dsn: str, number: int, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while (found := stores.value("SELECT count(*) FROM intake_messages", dsn=dsn)) != number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {number} jobs were taken")
        time.sleep(0.2)


@contextlib.contextmanager
def _own_worker(stores: Stores, source: Source) -> Iterator[Contender]:
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(_store(stores, source))
        environment = _environment(source, stores, store)
        client = stack.enter_context(running(source.client, environment))
        worker = stack.enter_context(running(source.work, environment))
        yield Contender(source.worker, client, "bulk", [worker.pid, *_store_pids(stores, store)])


@contextlib.contextmanager
def _callsheet(stores: Stores, source: Source) -> Iterator[Contender]:
    with contextlib.ExitStack() as stack:
        store, dsn = stack.enter_context(_store(stores, source)), stack.enter_context(stores.database())
        asyncio.run(upgrade(dsn))
        # Celery's client looks for the results where Callsheet stores them.
        environment = _environment(source, stores, store) | {"BENCH_DATABASE": dsn, "BENCH_RESULTS": f"{store}/0"}
        start = partial(_start, stack, environment)
        client = start(source.client)
        ours = [start([*_CALLSHEET, role]) for role in ("work", source.intake)]
        assert stores.server_pid is not None
        pids = [*(child.pid for child in ours), stores.server_pid, *_store_pids(stores, store)]
        yield Contender("Callsheet", client, source.do, pids)


def _start(stack: contextlib.ExitStack, environment: dict[str, str], command: list[str]) -> Child:
    return stack.enter_context(running(command, environment))


def _store(stores: Stores, source: Source) -> contextlib.AbstractContextManager[str]:
    if source.has_store:
        return stores.valkey("everysec")
    return contextlib.nullcontext(f"http://127.0.0.1:{free_port()}")


def _store_pids(stores: Stores, store: str) -> list[int]:
    return [stores.valkey_pids[store]] if store in stores.valkey_pids else []


def _environment(source: Source, stores: Stores, store: str) -> dict[str, str]:
    return {"BENCH_STORE": store, "BENCH_MARKS": str(stores.marks()), **source.environment}
