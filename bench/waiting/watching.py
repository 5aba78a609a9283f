"""What a program and its database do for a while: memory, processor time, statements."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.machine import cpu_seconds
from bench.stores import Stores

_BETWEEN = 1.0
_MARKS = (b"LOG:  execute ", b"LOG:  statement: ")


@dataclass(frozen=True)
class Watched:
    """What was seen in some seconds."""

    seconds: float
    memory: int
    """Bytes that the program's processes took together at most, shared pages divided among those that share them."""
    cpu: float
    """Seconds of the program."""
    database_cpu: float
    """Seconds of PostgreSQL."""
    statements: int
    """That PostgreSQL ran for anybody in the database, `BEGIN` and `COMMIT` among them."""


def log_statements(stores: Stores, dsn: str) -> None:
    """Have PostgreSQL tell every statement that is run in a database from new connections on."""
    name = str(stores.value("SELECT current_database()", dsn))
    # An extension would count them for less, and does not come with the embedded PostgreSQL.
    stores.execute(
        f"ALTER DATABASE {name} SET log_statement = 'all'",
        f"ALTER DATABASE {name} SET log_parameter_max_length = 0",
    )


def watch(stores: Stores, pid: int, seconds: float) -> Watched:
    """Watch a program with all its processes; `log_statements` comes first."""
    assert stores.server_pid is not None
    log = stores.server_log.stat().st_size
    began, cpu, database_cpu = time.perf_counter(), cpu_seconds(pid), cpu_seconds(stores.server_pid)
    memory = 0
    while time.perf_counter() - began < seconds:
        time.sleep(_BETWEEN)
        memory = max(memory, _memory(pid))
    return Watched(
        time.perf_counter() - began,
        memory,
        cpu_seconds(pid) - cpu,
        cpu_seconds(stores.server_pid) - database_cpu,
        _told_since(stores.server_log, log),
    )


def _memory(pid: int) -> int:
    parent = psutil.Process(pid)
    found = 0
    for process in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.memory_full_info().pss
    return found


def _told_since(log: Path, begin: int) -> int:
    with log.open("rb") as file:
        file.seek(begin)
        return sum(any(mark in line for mark in _MARKS) for line in file)
