"""Measurement of a program and its database: memory, CPU time, statements."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.machine import cpu_seconds
from bench.stores import Stores

_INTERVAL = 1.0
_STATEMENT_MARKS = (b"LOG:  execute ", b"LOG:  statement: ")


@dataclass(frozen=True)
class Usage:
    """Resource usage during a measurement."""

    seconds: float
    memory: int
    """Peak memory (PSS) of all processes of the program, in bytes."""
    cpu: float
    """CPU time of the program, in seconds."""
    database_cpu: float
    """CPU time of PostgreSQL, in seconds."""
    statements: int
    """Statements of all clients of the database, including `BEGIN` and `COMMIT`."""


def log_statements(stores: Stores, dsn: str) -> None:
    """Make PostgreSQL log every statement of new connections to a database."""
    name = str(stores.value("SELECT current_database()", dsn))
    # The extension pg_stat_statements would cost less, but the embedded PostgreSQL does not include it.
    stores.execute(
        f"ALTER DATABASE {name} SET log_statement = 'all'",
        f"ALTER DATABASE {name} SET log_parameter_max_length = 0",
    )


def measure(stores: Stores, pid: int, seconds: float) -> Usage:
    """Measure a program with all its child processes. Call `log_statements` before."""
    assert stores.server_pid is not None
    log = stores.server_log.stat().st_size
    began, cpu, database_cpu = time.perf_counter(), cpu_seconds(pid), cpu_seconds(stores.server_pid)
    memory = 0
    while time.perf_counter() - began < seconds:
        time.sleep(_INTERVAL)
        memory = max(memory, _memory(pid))
    return Usage(
        time.perf_counter() - began,
        memory,
        cpu_seconds(pid) - cpu,
        cpu_seconds(stores.server_pid) - database_cpu,
        _count_statements(stores.server_log, log),
    )


def _memory(pid: int) -> int:
    parent = psutil.Process(pid)
    found = 0
    for process in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.memory_full_info().pss
    return found


def _count_statements(log: Path, begin: int) -> int:
    with log.open("rb") as file:
        file.seek(begin)
        return sum(any(mark in line for mark in _STATEMENT_MARKS) for line in file)
