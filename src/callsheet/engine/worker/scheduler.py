"""Moving scheduled jobs into their queues when their time has come."""

from functools import partial
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.engine.jobs.complete import Changes

_MOST = 500
_PATIENCE = 2


class Scheduler:
    """Promotes due jobs. Any number of processes may do this at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._passed_over = 0

    async def release_due(self) -> int:
        """Promote what is due, a batch at a time; returns how many jobs."""
        total = 0
        while due := await self._database.retry(lambda c: sql.due_jobs(c, most=_MOST), seconds=5):
            by_execution = {row["id"]: row["execution_id"] for row in due}
            moved = await self._database.retry(partial(self._move, by_execution), seconds=5, transaction=True)
            total += moved
            if moved < len(due):
                break
        return total

    async def _move(self, by_execution: dict[UUID, UUID], connection: Connection) -> int:
        # Executions that somebody works on are left for the next look, but not again and again.
        lock = sql.try_lock_executions if self._passed_over < _PATIENCE else sql.lock_executions
        wanted = set(by_execution.values())
        locked = {row["id"] for row in await lock(connection, ids=list(wanted))}
        self._passed_over = 0 if locked == wanted else self._passed_over + 1
        rows = await sql.release_due_jobs(connection, ids=list(by_execution), execution_ids=list(locked))
        changes = Changes()
        for row in rows:
            changes.add_ready_queue(row, "due")
        await changes.record(connection)
        return len(rows)
