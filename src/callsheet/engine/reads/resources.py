"""Read the load of the machines of workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import NotFound
from callsheet.domain.resources import ResourcePoint, Resources, ResourceWarning
from callsheet.engine.reads.workers import list_workers

KEPT = timedelta(days=1)
"""Time that measurements are kept."""


@dataclass(frozen=True, slots=True)
class MachineWarning:
    """A warning, and the worker that has it."""

    worker: str
    warning: ResourceWarning


async def current_resources(database: Database) -> list[tuple[str, Resources]]:
    """Return the name and the newest measurement of each live worker that has one."""
    rows = await database.retry(sql.current_resources, timeout=5)
    return [(row["name"], Resources.model_validate_json(row["sample"])) for row in rows]


def warnings_of(current: Sequence[tuple[str, Resources]]) -> list[MachineWarning]:
    """Return all warnings of workers, the oldest first."""
    found = [MachineWarning(name, warning) for name, resources in current for warning in resources.warnings]
    return sorted(found, key=lambda each: each.warning.since)


async def resource_history(database: Database, worker: str, *, max_age: timedelta = KEPT) -> list[ResourcePoint]:
    """Return the measurements of a worker by its id, or of all workers with a name, oldest first.

    Raises NotFound for an unknown worker. One that has ended is known as long as its measurements are kept.
    """
    worker_id = _as_id(worker)
    points = await _history(database, [] if worker_id is None else [worker_id], worker, max_age)
    if not points:
        known = await list_workers(database)
        if not any(worker in (str(each.id), each.name) for each in known):
            names = ", ".join(sorted({each.name for each in known})) or "none"
            raise NotFound(f"There is no worker '{worker}', and none had this name in the last day. Known: {names}.")
    return points


async def resource_histories(
    database: Database, worker_ids: Sequence[UUID], *, max_age: timedelta = KEPT
) -> dict[UUID, list[ResourcePoint]]:
    """Return the measurements of workers by their ids, oldest first."""
    found: dict[UUID, list[ResourcePoint]] = {worker_id: [] for worker_id in worker_ids}
    for point in await _history(database, worker_ids, None, max_age):
        found[point.worker_id].append(point)
    return found


async def _history(
    database: Database, worker_ids: Sequence[UUID], name: str | None, max_age: timedelta
) -> list[ResourcePoint]:
    since = shared_now() - max_age
    rows = await database.retry(
        lambda c: sql.resource_history(c, worker_ids=list(worker_ids), name=name, since=since), timeout=5
    )
    return [_point(row) for row in rows]


def _point(row: Any) -> ResourcePoint:
    levels = orjson.loads(row["levels"])
    return ResourcePoint(
        at=row["at"],
        seconds=row["seconds"],
        worker_id=row["worker_id"],
        average={name: average for name, (average, _) in levels.items()},
        highest={name: highest for name, (_, highest) in levels.items()},
    )


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
