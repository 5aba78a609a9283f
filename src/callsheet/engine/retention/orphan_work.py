"""Carry out searches for orphans and their deletion: any server does it, and another one goes on when it dies.

The listing is a stream, and what it finds is kept in a table, so that the size of the storage does not matter. A file
is an orphan only if its key is one that Callsheet makes up, it is older than the safety age, its job is in no
unfinished execution, and no table names it. Before it is deleted, all of this is verified again.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import structlog

from callsheet.db.database import Connection, Database, DedicatedConnection
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound, StorageRejected, StorageUnreachable
from callsheet.domain.ids import new_id
from callsheet.engine.retention.orphans import OrphanStatus, list_orphans
from callsheet.files.storage import Storage, StoredFileInfo
from callsheet.files.stored_keys import KeyKind, StoredKey, read_stored_key
from callsheet.processes.bounded_gather import gather_limited

log = structlog.get_logger(__name__)

_LEASE = 60.0
"""Seconds for which a server has a search without renewing its lease."""
_RENEWAL = 15.0
_BATCH = 100
"""Orphans that one transaction deletes."""
_READS = 20
"""Requests to the storage at the same time."""
_READ_TABLES_TIMEOUT = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class _Search:
    """A search that this process carries out."""

    id: UUID
    owner: UUID
    modified_before: datetime


class OrphanWork:
    """Carries out the searches of one installation. `operations` are the names of all known operations."""

    def __init__(self, database: Database, storage: Storage, operations: Collection[str]) -> None:
        self._database = database
        self._storage = storage
        self._operations = operations

    async def continue_all(self) -> int:
        """Carry out the searches and deletions that no live process has. Return their number."""
        done = 0
        while await self._continue_one():
            done += 1
        return done

    async def _continue_one(self) -> bool:
        owner = new_id()
        row = await self._database.retry(lambda c: sql.own_orphan_search(c, owner=owner, lease=_LEASE), timeout=5)
        if row is None:
            return False
        search = _Search(row["id"], owner, row["modified_before"])
        is_search = row["status"] == OrphanStatus.SEARCHING
        error = None
        try:
            async with _renewed_lease(self._database, search):
                await (self._search(search) if is_search else self._delete(search))
        except (StorageRejected, StorageUnreachable) as failure:
            error = failure.message
            log.warning("the search for orphans was broken off", error=error)
        except _LeaseLost:
            log.warning("another server continues the search for orphans")
            return True
        status = OrphanStatus.FAILED if error else OrphanStatus.FOUND if is_search else OrphanStatus.DELETED
        await self._database.retry(
            lambda c: sql.end_orphan_search(c, id=search.id, owner=search.owner, status=status, error=error), timeout=60
        )
        return True

    async def _search(self, search: _Search) -> None:
        await self._database.retry(lambda c: sql.restart_orphan_search(c, id=search.id), timeout=60)
        operations = await self._known_operations()
        async for page in self._storage.list_all_pages():
            keys = [(info, read_stored_key(info.key, operations)) for info in page]
            await self._store(search, len(page), [(info, key) for info, key in keys if key is not None])
        async for page in self._storage.list_unfinished_pages():
            await self._store(search, 0, [(info, StoredKey(info.key, KeyKind.UNFINISHED, "")) for info in page])
        await self._drop_named(search)

    async def _known_operations(self) -> set[str]:
        """Return the names of all operations, also of those that only workers know, but for sources of intakes.

        The files of a source are published ones.
        """
        rows = await self._database.retry(sql.operations_and_sources, timeout=30)
        names = {row["name"] for row in rows if not row["is_source"]} | set(self._operations)
        return names - {row["name"] for row in rows if row["is_source"]}

    async def _store(self, search: _Search, listed: int, found: Iterable[tuple[StoredFileInfo, StoredKey]]) -> None:
        old = [
            {
                "key": key.key,
                "kind": key.kind,
                "token": key.token,
                "texts": key.texts,
                "size": info.size,
                "modified_at": info.modified_at,
            }
            for info, key in found
            if info.modified_at < search.modified_before
        ]

        async def store(connection: Connection) -> None:
            if old:
                await sql.insert_orphans(connection, search=search.id, found=orjson.dumps(old).decode())
            await sql.record_listed_objects(connection, id=search.id, listed=listed)

        await self._database.retry(store, timeout=60, transaction=True)

    async def _drop_named(self, search: _Search) -> None:
        """Forget the orphans that any table names. This reads all rows, so it has a connection of its own."""
        if not await list_orphans(self._database, search.id, after="", limit=1):
            return
        connection = DedicatedConnection(
            self._database.address, timeout=_READ_TABLES_TIMEOUT, name="callsheet orphan search"
        )
        try:
            named = await connection.run(lambda c: sql.drop_named_orphans(c, search=search.id))
        finally:
            connection.close()
        if named:
            log.info("files without a row are named elsewhere, and stay", files=named)

    async def _delete(self, search: _Search) -> None:
        since = new_id()
        await self._drop_named(search)
        while await self._delete_batch(search, since):
            pass

    async def _delete_batch(self, search: _Search, since: UUID) -> int:
        """Delete some orphans, in a transaction that keeps others from naming them. Return the number of processed."""
        async with self._database.transaction() as connection:
            batch = await sql.lock_orphans(connection, search=search.id, limit=_BATCH)
            if not batch:
                return 0
            free = await self._without_named(connection, search, since, batch)
            unchanged = await gather_limited([partial(self._is_unchanged, search, row) for row in free], limit=_READS)
            gone = [row for row, is_same in zip(free, unchanged, strict=True) if is_same]
            deleted = await self._delete_objects(search, gone)
            await sql.delete_uploads(connection, ids=[row["reserved"] for row in free if row["reserved"]])
            await sql.finish_orphans(connection, search=search.id, keys=[row["key"] for row in batch], deleted=deleted)
        return len(batch)

    async def _without_named(
        self, connection: Connection, search: _Search, since: UUID, batch: list[Any]
    ) -> list[dict[str, Any]]:
        """Return the orphans of a batch that nothing names, nor will name before the end of the transaction."""
        jobs = [UUID(row["token"]) for row in batch if row["kind"] == KeyKind.JOB]
        await sql.lock_executions_of_jobs(connection, jobs=jobs)
        rows = await sql.named_orphans(connection, search=search.id, keys=[row["key"] for row in batch], since=since)
        named = {row["key"] for row in rows}
        free = []
        for row in batch:
            if row["key"] in named:
                continue
            reserved = None
            if row["kind"] == KeyKind.UPLOAD:
                values = {"id": new_id(), "key": row["key"], "sha256": row["token"]}
                if (found := await sql.reserve_upload_key(connection, **values)) is None:
                    continue
                reserved = found["id"]
            free.append({**row, "reserved": reserved})
        return free

    async def _is_unchanged(self, search: _Search, row: dict[str, Any]) -> bool:
        """Return whether the file is still the one that the search has found, and not a newer one."""
        if row["kind"] == KeyKind.UNFINISHED:
            return True  # its deletion compares the time
        try:
            info = await self._storage.head(row["key"])
        except NotFound:
            return False
        return info.modified_at < search.modified_before and info.size == row["size"]

    async def _delete_objects(self, search: _Search, rows: list[dict[str, Any]]) -> list[str]:
        """Delete files. Return the keys of the deleted ones."""
        keys = [row["key"] for row in rows if row["kind"] != KeyKind.UNFINISHED]
        if keys:
            await self._storage.delete(keys)
        unfinished = [row["key"] for row in rows if row["kind"] == KeyKind.UNFINISHED]
        deleted = [
            key for key in unfinished if await self._storage.delete_unfinished(key, before=search.modified_before)
        ]
        return keys + deleted


class _LeaseLost(Exception):
    """Another process has taken the search over."""


@asynccontextmanager
async def _renewed_lease(database: Database, search: _Search) -> AsyncIterator[None]:
    """Renew the lease of a search while the block runs. Raises _LeaseLost when another process has it."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(_RENEWAL)
            row = await database.retry(
                lambda c: sql.renew_orphan_search(c, id=search.id, owner=search.owner, lease=_LEASE), timeout=_LEASE
            )
            if row is None:
                raise _LeaseLost

    try:
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(renew())
            yield
            renewing.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
