"""Rescuer: requeue the jobs of lost workers."""

from functools import partial
from uuid import UUID

import orjson
import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.event_types import EventType
from callsheet.domain.events import WORKER_LOST, JobFailedData, blocked_data
from callsheet.domain.wait_reasons import WaitReason
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.jobs.downstream import release_or_skip_downstream, request_provider_cancel

log = structlog.get_logger(__name__)

_BATCH_SIZE = 500
_MAX_SKIPPED_ROUNDS = 2
"""Rounds that skip locked executions, before one round waits for their locks."""


def suspect_from(crash_limit: int) -> int:
    """Return the number of starts that ended with the loss of the worker, from which a job runs one at a time."""
    return max(1, crash_limit - 1)


class Rescuer:
    """Finds lost workers and requeues their jobs. Any number of processes may do this concurrently."""

    def __init__(self, database: Database, worker_id: UUID, *, worker_timeout: float, crash_limit: int) -> None:
        """`worker_timeout`: seconds without a heartbeat until a worker is lost. `crash_limit`: lost starts of a job."""
        self._database = database
        self._worker_timeout = worker_timeout
        self._crash_limit = crash_limit
        self._worker_id = worker_id
        self._skipped_rounds = 0

    async def rescue(self) -> int:
        """Mark lost workers and requeue their jobs. Return the number of jobs."""
        for worker in await self._database.retry(
            lambda c: sql.mark_lost_workers(c, worker_id=self._worker_id, timeout=self._worker_timeout), timeout=5
        ):
            log.warning("worker lost", worker=worker["name"], host=worker["host"])
        total = 0
        while orphans := await self._database.retry(lambda c: sql.orphaned_jobs(c, limit=_BATCH_SIZE), timeout=5):
            by_execution = {row["id"]: row["execution_id"] for row in orphans}
            rescued = await self._database.retry(partial(self._requeue, by_execution), timeout=5, transaction=True)
            total += rescued
            if rescued < len(orphans):
                break
        return total

    async def _requeue(self, by_execution: dict[UUID, UUID], connection: Connection) -> int:
        # Skip executions that another transaction has locked, but not in every round: they must not starve.
        lock = sql.try_lock_executions if self._skipped_rounds < _MAX_SKIPPED_ROUNDS else sql.lock_executions
        wanted = set(by_execution.values())
        locked = {row["id"] for row in await lock(connection, ids=list(wanted))}
        self._skipped_rounds = 0 if locked == wanted else self._skipped_rounds + 1
        rows = await sql.rescue(
            connection,
            ids=[job for job, execution in by_execution.items() if execution in locked],
            crash_limit=self._crash_limit,
            suspect_from=suspect_from(self._crash_limit),
        )
        changes = Changes()
        for row in rows:
            log.warning("job rescued", job=str(row["id"]), status=row["status"], starts=row["starts"])
            if row["status"] == "queued":
                changes.add_queued(row, WORKER_LOST)
                if row["wait_reason"]:
                    reason = WaitReason.model_validate_json(row["wait_reason"])
                    changes.add_event(row, EventType.JOB_BLOCKED, blocked_data(reason))
                continue
            changes.add_status(
                row,
                row["status"],
                JobFailedData(error=orjson.loads(row["error"])) if row["error"] else None,
                counts_as_failure=not row["continue_on_failure"],
            )
        changes.freed_queues = {row["queue"] for row in rows}
        await release_or_skip_downstream(connection, changes, [row for row in rows if row["status"] != "queued"])
        await request_provider_cancel(connection, changes, rows)
        await changes.record(connection)
        return len(rows)


async def mark_worker_lost(database: Database, worker_id: UUID) -> None:
    """Mark a worker lost at once, when its process is known to be dead. The next rescue requeues its jobs."""
    row = await database.retry(lambda c: sql.mark_worker_lost(c, id=worker_id), timeout=30)
    if row is not None:
        log.warning("worker lost", worker=row["name"], host=row["host"])
