"""Keep the measurements of workers for a day, at a resolution that falls."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.engine.reads.resources import KEPT

DETAILED = timedelta(hours=2)
"""Time that each measurement is kept."""
PERIOD = timedelta(minutes=10)
"""Older measurements are one average for each of these periods."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Thinned:
    """What became of old measurements."""

    measurements: int
    periods: int
    """Averages that replace them."""


async def thin_resources(database: Database, now: datetime | None = None) -> Thinned:
    """Replace the measurements that are older than two hours by averages, and delete those older than a day.

    Several servers may do so at the same time. `now` is the time of the database, by default.
    """
    now = now or shared_now()
    before = now - DETAILED
    before -= (before - _EPOCH) % PERIOD
    seconds = round(PERIOD.total_seconds())
    row = await database.retry(lambda c: sql.thin_resources(c, before=before, seconds=seconds), timeout=60)
    await database.retry(lambda c: sql.delete_old_resources(c, before=now - KEPT), timeout=60)
    return Thinned(row["measurements"], row["periods"])
