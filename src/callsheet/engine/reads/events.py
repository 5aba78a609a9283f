"""Read events."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.events import Event, read_event

_MAX_BYTES = 4 * 2**20
"""Data of the events of one page. A page has at least one event."""


async def events_after(database: Database, execution_id: UUID, after: int, *, limit: int = 500) -> list[Event]:
    """Return the next events of an execution with a number greater than `after`, oldest first; none: []."""
    rows = await database.retry(
        lambda c: sql.events_after(c, execution_id=execution_id, after=after, limit=limit, max_bytes=_MAX_BYTES),
        timeout=5,
    )
    return [event_of(row) for row in rows]


def event_of(row: Mapping[str, Any]) -> Event:
    """Return the event of a row."""
    return read_event(
        {
            "number": row["number"],
            "type": row["type"],
            "job_id": row["job_id"],
            "data": orjson.loads(row["data"]) if row["data"] else {},
            "at": row["at"],
        }
    )
