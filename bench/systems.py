"""The systems that are measured, each in its best honest configuration."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.children import Child, running
from bench.stores import Stores, valkey_binary

HERE = Path(__file__).resolve().parent
PEERS_PYTHON = HERE / ".venv/bin/python"
BULLMQ = HERE / "peers/bullmq"
WARM_UP_JOBS = 200


@dataclass(frozen=True)
class System:
    """How to run a system: its store, its workers, and the process that submits."""

    name: str
    store: Callable[[Stores], AbstractContextManager[str]]
    work: list[str]
    submit: list[str]
    durable: str
    """When a job that was accepted, and one that is recorded as done, have reached the disk."""
    history: str
    """What is left of a job afterwards."""
    workers: int = 1
    missing: Callable[[], str | None] = lambda: None
    """Why it cannot be run here; None: it can."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """A system that runs, warm, on an empty store."""

    client: Child
    workers: list[Child]
    marks: Path
    store: str


@contextlib.contextmanager
def session(
    system: System, stores: Stores, *, store: str | None = None, warm_up: int = WARM_UP_JOBS
) -> Iterator[Session]:
    """Run a system on a fresh store, or on the one at `store`, and warm it up with so many jobs."""
    marks = stores.marks()
    with contextlib.ExitStack() as stack:
        address = store or stack.enter_context(system.store(stores))
        environment = {"BENCH_STORE": address, "BENCH_MARKS": str(marks), **system.environment}
        client = stack.enter_context(running(system.submit, environment))
        workers = [stack.enter_context(running(system.work, environment)) for _ in range(system.workers)]
        client.ask("bulk", jobs=warm_up, per_plan=1, seconds=60)
        yield Session(client, workers, marks, address)


def _callsheet(name: str = "Callsheet", *, workers: int = 1, lane: int = 1000) -> System:
    module = [sys.executable, "-m", "bench.peers.callsheet"]
    return System(
        name=name,
        store=Stores.database,
        work=[*module, "work"],
        submit=[*module, "submit"],
        durable="at each commit",
        history="rows and events",
        workers=workers,
        environment={"BENCH_LANE": os.environ.get("BENCH_LANE", str(lane))},
    )


def _postgres_peer(name: str, module: str, history: str, environment: dict[str, str] | None = None) -> System:
    arguments = [str(PEERS_PYTHON), "-m", f"bench.peers.{module}"]
    return System(
        name=name,
        store=Stores.database,
        work=[*arguments, "work"],
        submit=[*arguments, "submit"],
        durable="at each commit",
        history=history,
        missing=_no_peers,
        environment=environment or {},
    )


def _bullmq(appendfsync: str | None) -> System:
    durable = {None: "never: memory", "everysec": "each second", "always": "at each write"}[appendfsync]
    return System(
        name=f"BullMQ, {'no disk' if appendfsync is None else 'fsync ' + appendfsync}",
        store=partial(Stores.valkey, appendfsync=appendfsync),
        work=["node", str(BULLMQ / "worker.mjs")],
        submit=["node", str(BULLMQ / "submit.mjs")],
        durable=durable,
        history="jobs kept",
        missing=_no_node,
    )


def _celery(pool: str, concurrency: int) -> System:
    worker = ["worker", "--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    return System(
        name=f"Celery, {pool} {concurrency}",
        store=partial(Stores.valkey, appendfsync=None),
        work=[
            *(str(PEERS_PYTHON), "-m", "celery", "-q", "-A", "bench.peers.celery", *worker),
            f"--pool={pool}",
            f"--concurrency={concurrency}",
        ],
        submit=[str(PEERS_PYTHON), "-m", "bench.peers.celery", "submit"],
        durable="never: memory",
        history="results",
        missing=_no_peers,
        # A worker as root is refused otherwise.
        environment={"C_FORCE_ROOT": "1"},
    )


def _no_peers() -> str | None:
    return None if PEERS_PYTHON.exists() and valkey_binary() else "no bench/.venv; `make bench` makes it"


def _no_node() -> str | None:
    if shutil.which("node") is None:
        return "no node"
    if not (BULLMQ / "node_modules/bullmq").exists():
        return "no npm packages; `make bench` fetches them"
    return _no_peers()


CALLSHEET = _callsheet()
# In lanes of this size one worker leaves room for another, even on two cores.
CALLSHEET_LANE_100 = _callsheet("Callsheet, lane of 100", lane=100)
CALLSHEET_TWO = _callsheet("Callsheet, 2 workers, lanes of 100", workers=2, lane=100)
BULLMQ_MEMORY = _bullmq(None)
BULLMQ_EVERYSEC = _bullmq("everysec")
BULLMQ_ALWAYS = _bullmq("always")
PGQUEUER = _postgres_peer("PgQueuer", "pgqueuer", "log rows")
PGQUEUER_DEFAULT = _postgres_peer("PgQueuer, batches of 10", "pgqueuer", "log rows", {"BENCH_BATCH": "10"})
PGQUEUER_ROWS = _postgres_peer("PgQueuer, tickets beside job rows", "pgqueuer_rows", "rows, events, log rows")
PROCRASTINATE = _postgres_peer("Procrastinate", "procrastinate", "rows and events")
CELERY_THREADS = _celery("threads", 2)
CELERY_PREFORK = _celery("prefork", 2)
