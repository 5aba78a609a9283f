"""Taking back the jobs of workers that died."""

from functools import partial
from uuid import UUID

import orjson
import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.engine.jobs.complete import Changes, release_or_skip_downstream, request_provider_cancel

log = structlog.get_logger(__name__)

_MOST = 500
_PATIENCE = 2


class Rescuer:
    """Finds lost workers and their jobs. Any number of processes may do this at once."""

    def __init__(self, database: Database, worker_id: UUID, *, worker_timeout: float, crash_limit: int) -> None:
        self._database = database
        self._worker_timeout = worker_timeout
        self._crash_limit = crash_limit
        self._worker_id = worker_id
        self._passed_over = 0

    async def rescue(self) -> int:
        """Mark lost workers and take their jobs back; returns how many jobs were taken."""
        for worker in await self._database.retry(
            lambda c: sql.mark_lost_workers(c, me=self._worker_id, timeout=self._worker_timeout), seconds=5
        ):
            log.warning("worker lost", worker=worker["name"], host=worker["host"])
        total = 0
        while orphans := await self._database.retry(lambda c: sql.orphaned_jobs(c, most=_MOST), seconds=5):
            by_execution = {row["id"]: row["execution_id"] for row in orphans}
            taken = await self._database.retry(partial(self._requeue, by_execution), seconds=5, transaction=True)
            total += taken
            if taken < len(orphans):
                break
        return total

    async def _requeue(self, by_execution: dict[UUID, UUID], connection: Connection) -> int:
        # Executions that somebody works on are left for the next look, but not again and again.
        lock = sql.try_lock_executions if self._passed_over < _PATIENCE else sql.lock_executions
        wanted = set(by_execution.values())
        locked = {row["id"] for row in await lock(connection, ids=list(wanted))}
        self._passed_over = 0 if locked == wanted else self._passed_over + 1
        rows = await sql.rescue(
            connection,
            ids=[job for job, execution in by_execution.items() if execution in locked],
            crash_limit=self._crash_limit,
        )
        changes = Changes()
        for row in rows:
            log.warning("job rescued", job=str(row["id"]), status=row["status"], starts=row["starts"])
            if row["status"] == "queued":
                changes.add_ready_queue(row, "worker lost")
                continue
            error = orjson.loads(row["error"]) if row["error"] else None
            changes.add_status(
                row,
                row["status"],
                {"error": error} if error else None,
                counts_as_failure=not row["continue_on_failure"],
            )
        changes.freed_queues = {row["queue"] for row in rows}
        await release_or_skip_downstream(connection, changes, [row for row in rows if row["status"] != "queued"])
        await request_provider_cancel(connection, changes, rows)
        await changes.record(connection)
        return len(rows)


async def mark_worker_lost(database: Database, worker_id: UUID) -> None:
    """Mark one worker lost at once, when it is known that its process died; its jobs are then rescued."""
    row = await database.retry(lambda c: sql.mark_worker_lost(c, id=worker_id), seconds=30)
    if row is not None:
        log.warning("worker lost", worker=row["name"], host=row["host"])
