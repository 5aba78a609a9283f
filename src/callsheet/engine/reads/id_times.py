"""The times in ids: an id begins with the milliseconds of its creation, so that its index finds times."""

from datetime import datetime
from uuid import UUID


def id_at(at: datetime) -> UUID:
    """Return the first id of a time."""
    return UUID(int=min(max(int(at.timestamp() * 1000), 0), 2**48 - 1) << 80)


def id_range(after: datetime | None, before: datetime | None) -> tuple[UUID | None, UUID | None]:
    """Return the first and the last id of a period; None: no limit."""
    last = id_at(before) if before is not None else None
    return id_at(after) if after is not None else None, UUID(int=max(last.int - 1, 0)) if last is not None else None
