"""Moving scheduled jobs into their queues when their time has come."""

from functools import partial
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.engine.complete import Changes

_MOST = 500


async def promote_due(database: Database) -> int:
    """Promote due jobs, a batch at a time; returns how many. Any number of processes may do this at once."""
    total = 0
    while True:
        due = await database.retry(lambda c: sql.due_jobs(c, most=_MOST), seconds=5)
        if not due:
            return total
        by_execution = {row["id"]: row["execution_id"] for row in due}
        moved = await database.retry(partial(_promote, by_execution), seconds=5, transaction=True)
        total += moved
        if moved < len(due):
            # The others are being worked on; they are met again at the next look.
            return total


async def _promote(by_execution: dict[UUID, UUID], connection: Connection) -> int:
    locked = await sql.try_lock_executions(connection, ids=list(set(by_execution.values())))
    rows = await sql.promote(connection, ids=list(by_execution), execution_ids=[row["id"] for row in locked])
    changes = Changes()
    for row in rows:
        changes.note_ready(row, "due")
    await changes.record(connection)
    return len(rows)
