"""Scheduler: move due scheduled jobs to their queues."""

from functools import partial
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.engine.jobs.changes import Changes

_BATCH_SIZE = 500
_MAX_SKIPPED_ROUNDS = 2
"""Rounds that skip locked executions, before one round waits for their locks."""


class Scheduler:
    """Releases due jobs. Any number of processes may do this concurrently."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._skipped_rounds = 0

    async def release_due(self) -> int:
        """Queue all due jobs, in batches. Return their number."""
        total = 0
        while due := await self._database.retry(lambda c: sql.due_jobs(c, limit=_BATCH_SIZE), timeout=5):
            by_execution = {row["id"]: row["execution_id"] for row in due}
            released = await self._database.retry(partial(self._release, by_execution), timeout=5, transaction=True)
            total += released
            if released < len(due):
                break
        return total

    async def _release(self, by_execution: dict[UUID, UUID], connection: Connection) -> int:
        # Skip executions that another transaction has locked, but not in every round: they must not starve.
        lock = sql.try_lock_executions if self._skipped_rounds < _MAX_SKIPPED_ROUNDS else sql.lock_executions
        wanted = set(by_execution.values())
        locked = {row["id"] for row in await lock(connection, ids=list(wanted))}
        self._skipped_rounds = 0 if locked == wanted else self._skipped_rounds + 1
        rows = await sql.release_due_jobs(connection, ids=list(by_execution), execution_ids=list(locked))
        changes = Changes()
        for row in rows:
            changes.add_queued(row, "due")
        await changes.record(connection)
        return len(rows)
