"""Delete executions with all that belongs to them.

The rows and the list of files are written in one transaction; the files are deleted afterwards, and again after an
outage of the storage. So a file never disappears from an execution that is still there, and none is left behind.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.statuses import EXECUTION_ENDED
from callsheet.files.storage import Storage

_OBJECTS = 200
"""Files that one request to the storage deletes."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted."""

    executions: int = 0
    jobs: int = 0
    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Deleted") -> "Deleted":
        """Return the sum."""
        return Deleted(
            self.executions + other.executions,
            self.jobs + other.jobs,
            self.files + other.files,
            self.bytes + other.bytes,
        )


async def delete_execution(database: Database, storage: Storage, execution_id: UUID) -> None:
    """Delete an ended execution with its jobs, events, logs and files.

    Raises NotFound, and InvalidState while it has not ended, while its end is not reported to the queue that it came
    from, and while an unfinished execution, a schedule or a stored plan names one of its files. Raises
    StorageUnreachable if the files could not be deleted yet; the clean-up deletes them later.
    """

    async def delete(connection: Connection) -> None:
        row = await sql.lock_execution_to_delete(connection, id=execution_id)
        if row is None:
            raise NotFound(f"There is no execution {execution_id}.")
        if row["status"] not in EXECUTION_ENDED:
            raise InvalidState(f"The execution is {row['status']}. Cancel it first.")
        if row["is_reported_later"]:
            raise InvalidState("The end of the execution is not reported to its queue yet. Delete it afterwards.")
        if row["is_cancelled_later"]:
            raise InvalidState("A task of the execution is being cancelled at its provider. Delete it afterwards.")
        used = await used_ids(connection)
        files = [each["name"] for each in await sql.artifacts_in_use(connection, id=execution_id, used=used)]
        if files:
            raise InvalidState(
                f"Files of the execution are still needed by an unfinished execution, a schedule, a stored plan or an "
                f"open approval: {', '.join(sorted(files)[:5])}."
            )
        await sql.delete_executions(connection, ids=[execution_id])

    await database.retry(delete, timeout=30, transaction=True)
    await delete_objects(database, storage)


async def delete_locked_executions(connection: Connection, execution_ids: Iterable[UUID]) -> Deleted:
    """Delete ended executions. The caller has locked their rows, and has checked that nothing needs them."""
    return Deleted(**await sql.delete_executions(connection, ids=list(execution_ids)))


async def used_ids(connection: Connection, *, after: UUID | None = None) -> list[UUID]:
    """Return the ids of artifacts and jobs whose files are still needed, and ids of other things.

    `after` limits the unfinished executions to those with a larger id.
    """
    return [row["id"] for row in await sql.used_ids(connection, after=after)]


async def delete_objects(database: Database, storage: Storage) -> int:
    """Delete the files of deleted executions from the storage. Return their number. Raises StorageUnreachable.

    While a backup is made, which may need them, they stay; a later clean-up deletes them.
    """
    deleted = 0
    while True:
        async with database.transaction() as connection:
            if not await sql.may_delete_files(connection):
                return deleted
            keys = [row["key"] for row in await sql.lock_object_deletions(connection, limit=_OBJECTS)]
            if not keys:
                return deleted
            await storage.delete(keys)
            await sql.finish_object_deletions(connection, keys=keys)
        deleted += len(keys)
