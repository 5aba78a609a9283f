"""The clock of the database, which all servers and workers share. Their own clocks may differ.

It runs on the monotonic clock of this machine, so that a change of the machine's clock does not change it.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_TOLERANCE = 1.0
"""Seconds. A smaller difference is not corrected: it is no larger than what a slow response causes."""


@dataclass(slots=True)
class _Reference:
    ahead_of_monotonic: float | None = None
    """Seconds by which the database's clock is ahead of the monotonic clock; None: not measured yet."""


_reference = _Reference()


def follow_clock(database_time: datetime, *, asked: float, responded: float) -> None:
    """Set the clock to a time that the database returned between two moments of the monotonic clock, in seconds."""
    _reference.ahead_of_monotonic = database_time.timestamp() - (asked + responded) / 2


def shared_now() -> datetime:
    """Return the time of the database."""
    return datetime.now(UTC) + timedelta(seconds=clock_difference())


def clock_difference() -> float:
    """Return the seconds by which the database's clock is ahead of that of this machine; 0 below one second."""
    if _reference.ahead_of_monotonic is None:
        return 0.0
    difference = _reference.ahead_of_monotonic + time.monotonic() - time.time()
    return difference if abs(difference) >= _TOLERANCE else 0.0
