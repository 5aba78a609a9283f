"""The next time of a schedule, and what a server does about a time that has come."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from callsheet.domain.recurrence import Recurrence
from callsheet.domain.schedules import Missed, ScheduleSpec

MAX_CATCH_UP = 100
"""Times that `missed: all` runs at most after an outage."""
_ON_TIME = timedelta(minutes=1)
"""A later start counts as missed."""
_MAX_COUNTED = 100_000
"""Missed times that are counted one by one."""


@dataclass(frozen=True, slots=True)
class NextTime:
    """When a schedule is due, and when it starts."""

    due_at: datetime | None
    start_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueTime:
    """The time that is decided about."""

    due_at: datetime
    starts: bool
    """Whether the plan is to run for it."""
    missed: int = 0
    """Earlier times for which the plan does not run, because no server ran."""
    first_missed: datetime | None = None


def next_time(name: str, spec: ScheduleSpec, moment: datetime) -> NextTime:
    """Return the first time after a moment.

    The jitter is derived from the name and the time: each server computes the same, also after a restart.
    """
    due_at = spec.recurrence.after(moment)
    if due_at is None:
        return NextTime(None, None)
    if spec.jitter is None:
        return NextTime(due_at, due_at)
    digest = hashlib.sha256(f"{name}\n{due_at.isoformat()}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return NextTime(due_at, due_at + spec.jitter * share)


def choose_due_time(spec: ScheduleSpec, due_at: datetime, start_at: datetime, now: datetime) -> DueTime:
    """Return what to do at `now` about a schedule whose stored time `due_at` has come.

    Times count as missed when the next one has come as well, or when the start is more than a minute late.
    """
    later = _times_until(spec.recurrence, due_at, now)
    if not later and now - start_at <= _ON_TIME:
        return DueTime(due_at, starts=True)
    times = [due_at, *later]
    if spec.missed is Missed.ALL:
        dropped = times[:-MAX_CATCH_UP]
        return _with_missed(times[len(dropped)], dropped, starts=True)
    newest_starts = spec.missed is Missed.ONCE or now - times[-1] <= _ON_TIME
    return _with_missed(times[-1], times[:-1], starts=newest_starts)


def _times_until(recurrence: Recurrence, after: datetime, now: datetime) -> list[datetime]:
    times = takewhile(lambda time: time <= now, recurrence.times_after(after))
    found = list(islice(times, _MAX_COUNTED))
    if len(found) < _MAX_COUNTED:
        return found
    # Too many to count: the newest ones are found from the other side.
    recent = list(takewhile(lambda time: time <= now, recurrence.times_after(now - timedelta(hours=1))))
    return recent or found


def _with_missed(due_at: datetime, missed: list[datetime], *, starts: bool) -> DueTime:
    return DueTime(due_at, starts, len(missed), missed[0] if missed else None)
