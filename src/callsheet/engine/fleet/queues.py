"""Pause, limit and resume queues."""

from dataclasses import dataclass
from datetime import timedelta

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.queues import canonical_queue
from callsheet.domain.records import QueueRecord
from callsheet.engine.reads.queues import list_queues
from callsheet.operation_api.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit: at most `starts` jobs start per `period`."""

    starts: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class QueueChange:
    """A change of queue settings. None keeps a setting; `clear_*` removes a limit."""

    paused: bool | None = None
    max_running: int | None = None
    rate: Rate | None = None
    clear_max_running: bool = False
    clear_rate: bool = False


async def change_queue(database: Database, catalog: Catalog, name: str, change: QueueChange) -> QueueRecord:
    """Change a queue for the whole fleet, with immediate effect. Return the changed queue. Raises NotFound."""
    name = canonical_queue(name)
    if name not in {queue.name for queue in await list_queues(database, catalog)}:
        raise NotFound(f"There is no queue '{name}'.")
    await database.retry(
        lambda c: sql.set_queue(
            c,
            name=name,
            paused=change.paused,
            max_running=change.max_running,
            clear_max_running=change.clear_max_running,
            rate_limit=change.rate.starts if change.rate else None,
            rate_period=change.rate.period.total_seconds() if change.rate else None,
            clear_rate=change.clear_rate,
        ),
        timeout=5,
    )
    return next(queue for queue in await list_queues(database, catalog) if queue.name == name)
