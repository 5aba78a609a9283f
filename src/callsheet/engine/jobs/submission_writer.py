"""Stores submitted plans, those that arrive together in one statement."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg

from callsheet.db.database import Connection, Database
from callsheet.db.group_commit import GroupCommit
from callsheet.db.outages import TRANSIENT_ERRORS, unavailable
from callsheet.db.statements import sql
from callsheet.domain.errors import IdempotencyConflict
from callsheet.engine.intake_messages import take_messages
from callsheet.engine.jobs.execution_rows import ExecutionRows, insert_executions

_MAX_GROUP_BYTES = 2 * 2**20
_REJECTED = (
    asyncpg.DataError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
"""Errors of one statement, not of the database. Nothing was stored."""

_ROLLED_BACK_ALONE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
"""Those of them that a repetition can get past."""

_ROLLED_BACK = (asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientResourcesError)
"""The database responds, and rejects all writes for now. Nothing was stored."""


class SubmissionWriter:
    """Stores the executions that the callers of one process submit. There is one for each database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._group_commit = GroupCommit(self._store, max_size=_MAX_GROUP_BYTES)

    async def store(self, rows: ExecutionRows) -> UUID:
        """Store an execution. Returns its id, or that of the first execution with the same idempotency key.

        Raises IdempotencyConflict if the key was used for another submission, and DatabaseUnavailable with the fact
        `stored`: `no`, or `unknown` if the connection was lost after the statement was sent.
        """
        return await self._group_commit.write(rows, size=rows.size)

    async def store_alone(self, rows: ExecutionRows, check: Callable[[Connection], Awaitable[None]]) -> UUID:
        """Store an execution in a transaction in which `check` runs first: what it raises keeps it from being stored.

        Returns and raises as `store`.
        """
        try:
            stored = (await self._store([rows], check))[0]
        except _ROLLED_BACK_ALONE as error:
            raise unavailable(error, stored="no") from error
        if isinstance(stored, Exception):
            raise stored
        return stored

    async def _store(
        self, executions: list[ExecutionRows], check: Callable[[Connection], Awaitable[None]] | None = None
    ) -> list[UUID | Exception]:
        stored = "no"
        try:
            if check is not None or any(each.message is not None for each in executions):
                async with self._database.transaction() as connection:
                    if check is not None:
                        await check(connection)
                    stored = "unknown"
                    return await _store_with_messages(connection, executions)
            async with self._database.connection() as connection:
                stored = "unknown"
                duplicates = await insert_executions(connection, executions)
                return await _first_executions(connection, executions, duplicates)
        except _REJECTED:
            raise
        except TRANSIENT_ERRORS as error:
            if isinstance(error, _ROLLED_BACK):
                stored = "no"
            raise unavailable(error, stored=stored) from error


async def _store_with_messages(connection: Connection, executions: list[ExecutionRows]) -> list[UUID | Exception]:
    """Store executions with the messages they came from. A message that is known joins its first execution."""
    taken = [each for each in executions if each.message is not None]
    messages = [each.message for each in taken if each.message is not None]
    first = await take_messages(connection, messages, [each.execution_id for each in taken]) if taken else []
    joined = {each.execution_id: found for each, found in zip(taken, first, strict=True) if found != each.execution_id}
    new = [each for each in executions if each.execution_id not in joined]
    stored: dict[UUID, UUID | Exception] = dict(joined)
    if new:
        duplicates = await insert_executions(connection, new)
        results = await _first_executions(connection, new, duplicates)
        stored |= dict(zip((each.execution_id for each in new), results, strict=True))
    return [stored[each.execution_id] for each in executions]


async def _first_executions(
    connection: Connection, executions: list[ExecutionRows], duplicates: set[UUID]
) -> list[UUID | Exception]:
    """Return the id of each execution; for a duplicate, that of the first execution with its key."""
    if not duplicates:
        return [each.execution_id for each in executions]
    keys = [each.idempotency_key for each in executions if each.execution_id in duplicates]
    first = {row["key"]: row for row in await sql.find_idempotency_keys(connection, keys=keys)}

    def result(rows: ExecutionRows) -> UUID | Exception:
        if rows.execution_id not in duplicates:
            return rows.execution_id
        stored = first[rows.idempotency_key]
        return stored["execution_id"] if stored["body_digest"] == rows.body_digest else IdempotencyConflict()

    return [result(each) for each in executions]
