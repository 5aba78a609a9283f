"""The clocks of this machine, of the workers and of the database.

Callsheet follows the clock of the database. What it exchanges with others depends on the clock of its machine:
signatures of S3 requests, tokens for providers, the age of webhooks.
"""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.db.database import Connection
from callsheet.db.statements import sql

_TOLERANCE = 2.0
_LIMIT = 60.0
"""Seconds of difference from which the check warns, or fails."""
_ACTION = "run a time service (NTP) such as chrony or systemd-timesyncd on {machine} and on the database server"


async def clock(installation: Installation) -> AsyncIterator[Finding]:
    """Report clocks that differ from that of the database."""
    measured = await installation.read(_measure)
    if measured is None:
        return
    yield clock_finding(*measured)
    for row in await installation.read(sql.worker_clock_differences) or ():
        if abs(row["seconds"]) >= _TOLERANCE:
            yield Finding(
                "clock.worker_differs",
                f"the clock of the worker {row['worker_name']} is {_difference(row['seconds'])} that of the database "
                "at least, by the times in its log",
                _ACTION.format(machine="its machine"),
            )


async def _measure(connection: Connection) -> tuple[float, float]:
    """Return the seconds by which this machine is ahead of the database, and the time that the question took."""
    best: tuple[float, float] | None = None
    for _ in range(3):
        asked = time.monotonic()
        now = await sql.database_time(connection)
        here, took = datetime.now(UTC), time.monotonic() - asked
        if best is None or took < best[1]:
            best = (here - now).total_seconds() - took / 2, took
    assert best is not None  # noqa: S101 - the loop has run
    return best


def clock_finding(ahead: float, took: float) -> Finding:
    """Return what a difference means: `ahead` of the database, measured by a query of `took`, both in seconds."""
    difference = max(abs(ahead) - took / 2, 0.0)
    if difference < _TOLERANCE:
        return ok("clock", "as that of the database")
    message = f"the clock of this machine is {_difference(ahead)} that of the database"
    code = "clock.wrong" if difference >= _LIMIT else "clock.differs"
    return Finding(code, message, _ACTION.format(machine="this machine"))


def _difference(ahead: float) -> str:
    return f"{abs(ahead):,.1f} seconds {'ahead of' if ahead > 0 else 'behind'}"
