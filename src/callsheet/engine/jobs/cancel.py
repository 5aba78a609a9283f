"""Cancel executions and jobs."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.statuses import ENDED, EXECUTION_ENDED, ExecutionStatus, JobStatus
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.jobs.downstream import release_or_skip_downstream, request_provider_cancel

_CLAIM_TRIES = 200


async def cancel_execution(database: Database, execution_id: UUID) -> None:
    """Cancel the jobs of an execution that have not ended.

    Jobs that are not running are cancelled at once. Running jobs are stopped and become cancelled afterwards.
    Cancelling a cancelled execution has no effect. Raises NotFound, or InvalidState if the execution has succeeded or
    failed.
    """

    async def cancel(connection: Connection) -> None:
        execution = await sql.execution_to_change(connection, id=execution_id)
        if execution is None:
            raise NotFound(f"There is no execution {execution_id}.")
        status = ExecutionStatus(execution["status"])
        if status in EXECUTION_ENDED:
            if status is ExecutionStatus.CANCELLED:
                return
            raise InvalidState(f"The execution has {status} and can no longer be cancelled.")
        await cancel_locked_executions(connection, [execution_id])

    await database.retry(cancel, transaction=True)


async def cancel_locked_executions(connection: Connection, execution_ids: Sequence[UUID]) -> None:
    """Cancel the jobs of executions that have not ended. The caller holds the locks of the executions."""
    await sql.request_executions_cancel(connection, ids=execution_ids)
    await _cancel_jobs(connection, execution_ids, None)


async def cancel_job(database: Database, job_id: UUID) -> None:
    """Cancel one job with its child jobs, and skip its downstream jobs.

    Cancelling a cancelled job has no effect. Raises NotFound, or InvalidState if the job has ended otherwise.
    """
    row = await database.retry(lambda c: sql.execution_of_job(c, id=job_id))
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    for _ in range(_CLAIM_TRIES):
        if await database.retry(lambda c: _cancel_job(c, row["execution_id"], job_id), transaction=True):
            return
        # A claim holds the lock of the row. After its commit the job is running and can be cancelled.
        await asyncio.sleep(0.01)
    raise InvalidState("The job is being started; try again.")


async def _cancel_job(connection: Connection, execution_id: UUID, job_id: UUID) -> bool:
    await sql.execution_to_change(connection, id=execution_id)
    job = await sql.get_job(connection, id=job_id)
    if job_id in await _cancel_jobs(connection, [execution_id], job["job_id"]):
        return True
    job = await sql.get_job(connection, id=job_id)
    status = JobStatus(job["status"])
    if status in ENDED and status is not JobStatus.CANCELLED:
        raise InvalidState(f"The job has {status} and can no longer be cancelled.")
    return status is JobStatus.CANCELLED


async def _cancel_jobs(connection: Connection, execution_ids: Sequence[UUID], job: str | None) -> set[UUID]:
    changes = Changes()
    ended = await sql.cancel_idle_jobs(connection, execution_ids=execution_ids, job=job)
    for row in ended:
        changes.add_status(row, "cancelled")
    await request_provider_cancel(connection, changes, ended)
    if job is not None:
        await release_or_skip_downstream(connection, changes, ended)
    running = await sql.request_running_jobs_cancel(connection, execution_ids=execution_ids, job=job)
    await changes.record(connection)
    await _notify_workers(connection, running)
    return {row["id"] for row in (*ended, *running)}


async def _notify_workers(connection: Connection, running: list[Any]) -> None:
    for worker in {row["worker_id"] for row in running}:
        await sql.notify_control(connection, message=f"cancel {worker}")
