"""The task of the schedule `resource-watch`. Workers measure themselves; it thins what they stored, and sums it up."""

from collections.abc import Sequence
from datetime import timedelta

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.engine.reads.resources import MachineWarning, current_resources, warnings_of
from callsheet.engine.retention.resources import thin_resources

_HISTORY = timedelta(days=1)
"""Time that the history of this schedule is kept: it runs every minute."""
_SHOWN_WARNINGS = 10


async def watch_resources(database: Database, schedule: str) -> str:
    """Thin old measurements and the history of the schedule. Returns what the workers measured last, for people."""
    await thin_resources(database)
    before = shared_now() - _HISTORY
    await database.retry(lambda c: sql.delete_runs_of_schedule(c, name=schedule, before=before), timeout=30)
    current = await current_resources(database)
    return summary(len(current), warnings_of(current))


def summary(workers: int, warnings: Sequence[MachineWarning]) -> str:
    """Return the number of measured workers, and their warnings."""
    measured = "1 worker" if workers == 1 else f"{workers:,} workers"
    if not warnings:
        return f"{measured}, no warning"
    shown = [f"{each.worker} {each.warning.resource} {each.warning.percent:.0f} %" for each in warnings]
    more = [f"{len(shown) - _SHOWN_WARNINGS:,} more"] if len(shown) > _SHOWN_WARNINGS else []
    count = "1 warning" if len(shown) == 1 else f"{len(shown):,} warnings"
    return f"{measured}, {count}: {', '.join([*shown[:_SHOWN_WARNINGS], *more])}"
