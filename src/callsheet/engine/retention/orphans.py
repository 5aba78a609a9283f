"""Searches of the storage for orphans: files of Callsheet that nothing names. A person starts them, and deletes."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model


class OrphanStatus(StrEnum):
    """How far a search for orphans is."""

    SEARCHING = "searching"
    FOUND = "found"
    """The search has ended. The files can be listed, and deleted."""
    DELETING = "deleting"
    DELETED = "deleted"
    FAILED = "failed"


class OrphanSearch(Model):
    """A search of the storage for files that nothing names, and their deletion."""

    id: UUID
    status: OrphanStatus
    modified_before: datetime
    """Younger files are no orphans."""
    listed: int
    """Files of the storage that were compared with the tables."""
    files: int
    """Orphans that are found and not deleted."""
    bytes: int
    deleted: int
    deleted_bytes: int
    kept: int
    """Orphans that were replaced, or named, between the search and their deletion."""
    error: str | None
    requested_by: str
    created_at: datetime
    found_at: datetime | None
    finished_at: datetime | None

    @property
    def is_at_work(self) -> bool:
        """Whether a server searches or deletes."""
        return self.status in {OrphanStatus.SEARCHING, OrphanStatus.DELETING}


class OrphanedFile(Model):
    """A file in the storage that nothing names."""

    key: str
    size: int
    modified_at: datetime


async def start_orphan_search(database: Database, *, min_age: timedelta, requested_by: str) -> OrphanSearch:
    """Store the request for a search, which a server carries out. Files younger than `min_age` are no orphans.

    Returns the search at work if there is one. The results of the search before are forgotten.
    """

    async def store(connection: Connection) -> None:
        await sql.lock_orphan_searches(connection)
        row = await sql.newest_orphan_search(connection)
        if row is None or not OrphanSearch(**row).is_at_work:
            before = shared_now() - min_age
            await sql.insert_orphan_search(connection, id=new_id(), modified_before=before, requested_by=requested_by)

    await database.retry(store, timeout=5, transaction=True)
    return await newest_orphan_search(database)


async def newest_orphan_search(database: Database) -> OrphanSearch:
    """Return the newest search. Raises NotFound if the storage was never searched."""
    row = await database.retry(sql.newest_orphan_search, timeout=30)
    if row is None:
        raise NotFound("The storage was not searched for orphans yet. `POST /api/clean-up/orphans` starts a search.")
    return OrphanSearch(**row)


async def find_orphan_search(database: Database) -> OrphanSearch | None:
    """Return the newest search; None if the storage was never searched."""
    try:
        return await newest_orphan_search(database)
    except NotFound:
        return None


async def list_orphans(database: Database, search: UUID, *, after: str, limit: int) -> list[OrphanedFile]:
    """Return a page of the orphans of a search, by key. `after` is the last key of the page before, or ''."""
    rows = await database.retry(lambda c: sql.list_orphans(c, search=search, after=after, limit=limit), timeout=30)
    return [OrphanedFile(**row) for row in rows]


async def request_orphan_deletion(database: Database, search: UUID, *, requested_by: str) -> OrphanSearch:
    """Store the request to delete the orphans of a search, which a server carries out.

    Raises NotFound if this is not the newest search, and InvalidState unless it has ended, or if nothing was found.
    """
    found = await newest_orphan_search(database)
    if found.id != search:
        raise NotFound(f"There is no search {search}; the newest one is {found.id}.")
    if found.status in {OrphanStatus.DELETING, OrphanStatus.DELETED}:
        return found
    if found.status is not OrphanStatus.FOUND:
        raise InvalidState(f"The search is {found.status}, so that there is nothing to delete. Search again.")
    await database.retry(lambda c: sql.request_orphan_deletion(c, id=search, requested_by=requested_by), timeout=5)
    return await newest_orphan_search(database)
