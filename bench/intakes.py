"""Jobs of BullMQ through the intake, from the producer to the end in BullMQ, beside a worker of BullMQ itself."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from statistics import median

from bench.children import Child, running
from bench.machine import busy_share, cpu_seconds
from bench.report import Finding, Row, Verdict, skipped
from bench.sizes import Sizes
from bench.stores import Stores
from bench.systems import BULLMQ, BULLMQ_EVERYSEC
from bench.waiting.resource_monitor import log_statements, measure
from callsheet.db.upgrade import upgrade

JOBS = 2000
WARM_UP_JOBS = 200
FEW_OPEN, MANY_OPEN = 100, 5000
_MODULE = [sys.executable, "-m", "bench.peers.callsheet_intake"]
_NODE = "Node.js worker that does nothing"
_CALLSHEET = "Callsheet: intake and worker"


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Add jobs at once, and wait until BullMQ has completed all of them."""
    jobs = min(JOBS, sizes.jobs)
    finding = Finding(
        "intakes",
        f"{jobs} small jobs of BullMQ, fsync everysec, median of {sizes.rounds}",
        ["jobs/s", "CPU ms a job", "MiB", "CPU", "statements/s"],
    )
    if (reason := BULLMQ_EVERYSEC.missing()) is not None:
        finding.rows.append(skipped("BullMQ", reason))
        return finding
    speeds = {}
    for name, workers in ((_NODE, _node_worker), (_CALLSHEET, _callsheet)):
        progress(name)
        with finding.errors_of(name):
            speeds[name], row = _measure(name, workers, stores, jobs, sizes.rounds, finding)
            finding.rows.append(row)
    with finding.errors_of("open jobs"):
        _measure_open(finding, stores, sizes, progress)
    if len(speeds) > 1:
        share = speeds[_CALLSHEET] / speeds[_NODE]
        finding.verdicts.append(Verdict("as fast as the source's own worker", f"{share:.0%}", share >= 1))
    return finding


def _measure(
    name: str,
    workers: Callable[..., contextlib.AbstractContextManager[list[Child]]],
    stores: Stores,
    jobs: int,
    rounds: int,
    finding: Finding,
) -> tuple[float, Row]:
    speeds, cpu = [], []
    with stores.valkey("everysec") as redis, workers(stores, redis) as running_workers:
        client_command = ["node", str(BULLMQ / "submit.mjs")]
        with running(client_command, {"BENCH_STORE": redis}) as client:
            client.ask("bulk", jobs=WARM_UP_JOBS, seconds=60)
            for _ in range(rounds):
                finding.noise.append(busy_share())
                before = cpu_seconds(*(worker.pid for worker in running_workers))
                found = client.ask("bulk", jobs=jobs, seconds=300)
                speeds.append(jobs / (found["ended"] - found["began"]))
                cpu.append((cpu_seconds(*(worker.pid for worker in running_workers)) - before) * 1000 / jobs)
    facts = {"jobsPerSecond": speeds, "cpuMsPerJob": cpu}
    return median(speeds), Row(name, [f"{median(speeds):.0f}", f"{median(cpu):.2f}", "", "", ""], facts)


def _measure_open(finding: Finding, stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> None:
    """Measure the intake process alone, while so many jobs of it are open and nothing happens to them."""
    with stores.valkey("everysec") as redis, stores.database() as dsn:
        asyncio.run(upgrade(dsn))
        log_statements(stores, dsn)
        environment = {"BENCH_STORE": redis, "BENCH_DATABASE": dsn, "BENCH_MARKS": str(stores.marks())}
        with (
            running([*_MODULE, "intake"], environment) as intake,
            running(["node", str(BULLMQ / "submit.mjs")], environment) as client,
        ):
            before = 0
            for jobs in (FEW_OPEN, min(MANY_OPEN, sizes.jobs)):
                progress(f"{jobs} open jobs")
                client.ask("open", jobs=jobs - before, seconds=300)
                while stores.value("SELECT count(*) FROM intake_messages", dsn=dsn) != jobs:
                    time.sleep(0.2)
                before = jobs
                used = measure(stores, intake.pid, sizes.watched_seconds)
                values = [f"{used.memory / 2**20:.0f}", f"{used.cpu / used.seconds:.1%}"]
                values += [f"{used.statements / used.seconds:.1f}"]
                finding.rows.append(Row(f"Callsheet: intake with {jobs} open jobs", ["", "", *values], asdict(used)))


@contextlib.contextmanager
def _node_worker(stores: Stores, redis: str) -> Iterator[list[Child]]:
    environment = {"BENCH_STORE": redis, "BENCH_MARKS": str(stores.marks())}
    with running(["node", str(BULLMQ / "worker.mjs")], environment) as worker:
        yield [worker]


@contextlib.contextmanager
def _callsheet(stores: Stores, redis: str) -> Iterator[list[Child]]:
    with stores.database() as dsn, contextlib.ExitStack() as stack:
        asyncio.run(upgrade(dsn))
        environment = {"BENCH_STORE": redis, "BENCH_DATABASE": dsn, "BENCH_MARKS": str(stores.marks())}
        yield [stack.enter_context(running([*_MODULE, role], environment)) for role in ("work", "intake")]
