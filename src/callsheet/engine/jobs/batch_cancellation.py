"""Cancel a batch: the request is stored with the batch, and any server or worker carries it out, part by part."""

from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.engine.jobs.cancel import cancel_locked_executions

_MAX_EXECUTIONS = 500
"""Executions that one transaction cancels."""
_MAX_JOBS = 5000
"""Their jobs, so that no transaction takes long. An execution is never divided."""


async def request_batch_cancel(database: Database, batch_id: UUID) -> None:
    """Store the request to cancel all executions of a batch that have not ended. Raises NotFound.

    A repeated request starts with the first execution again.
    """
    if await database.retry(lambda c: sql.request_batch_cancel(c, id=batch_id), timeout=10) is None:
        raise NotFound(f"There is no batch {batch_id}.")


async def continue_batch_cancellations(database: Database) -> int:
    """Carry out the requests that are stored. Return the number of executions that were cancelled.

    Any number of processes may do this at the same time: one of them has a batch at a time. What a process that dies
    has not committed is done by another one.
    """
    total = 0
    while (cancelled := await database.retry(_cancel_part, timeout=5, transaction=True)) is not None:
        total += cancelled
    return total


async def _cancel_part(connection: Connection) -> int | None:
    """Cancel the next executions of one batch. Return their number; None if no batch is to be cancelled."""
    batch = await sql.lock_cancelling_batch(connection)
    if batch is None:
        return None
    rows = await sql.next_batch_executions(
        connection, id=batch["id"], start=batch["cancel_next"], max_executions=_MAX_EXECUTIONS, max_jobs=_MAX_JOBS
    )
    ids = [row["id"] for row in await sql.lock_unfinished_executions(connection, ids=[row["id"] for row in rows])]
    if ids:
        await cancel_locked_executions(connection, ids)
    following = rows[-1]["position"] + 1 if rows else None
    await sql.set_batch_cancel_next(connection, id=batch["id"], next=following)
    return len(ids)
