"""Cancelling executions and jobs."""

import asyncio
from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.statuses import ENDED, EXECUTION_ENDED, ExecutionStatus, JobStatus
from callsheet.engine.jobs.complete import Changes, release_or_skip_downstream, request_provider_cancel


async def cancel_execution(database: Database, execution_id: UUID) -> None:
    """Cancel what has not ended. Jobs that run are asked to stop and are cancelled when they have.

    Raises NotFound, or InvalidState when the execution has ended otherwise; cancelling twice is fine.
    """

    async def cancel(connection: Connection) -> None:
        execution = await sql.execution_to_change(connection, id=execution_id)
        if execution is None:
            raise NotFound(f"There is no execution {execution_id}.")
        status = ExecutionStatus(execution["status"])
        if status in EXECUTION_ENDED:
            if status is ExecutionStatus.CANCELLED:
                return
            raise InvalidState(f"The execution has {status}; it cannot be cancelled any more.")
        await sql.request_execution_cancel(connection, id=execution_id)
        await _cancel_jobs(connection, execution_id, None)

    await database.retry(cancel, transaction=True)


async def cancel_job(database: Database, job_id: UUID) -> None:
    """Cancel one job, with those it wanted to run first; what is downstream of it is skipped.

    Raises NotFound, or InvalidState when the job has ended otherwise.
    """
    row = await database.retry(lambda c: sql.execution_of_job(c, id=job_id))
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    for _ in range(200):
        if await database.retry(lambda c: _cancel_job(c, row["execution_id"], job_id), transaction=True):
            return
        # A claim holds the row at this very moment; it is running right after.
        await asyncio.sleep(0.01)
    raise InvalidState("The job is being started; try again.")


async def _cancel_job(connection: Connection, execution_id: UUID, job_id: UUID) -> bool:
    await sql.execution_to_change(connection, id=execution_id)
    job = await sql.get_job(connection, id=job_id)
    if job_id in await _cancel_jobs(connection, execution_id, job["job_id"]):
        return True
    job = await sql.get_job(connection, id=job_id)
    status = JobStatus(job["status"])
    if status in ENDED and status is not JobStatus.CANCELLED:
        raise InvalidState(f"The job has {status}; it cannot be cancelled any more.")
    return status is JobStatus.CANCELLED


async def _cancel_jobs(connection: Connection, execution_id: UUID, job: str | None) -> set[UUID]:
    changes = Changes()
    ended = await sql.cancel_idle_jobs(connection, execution_id=execution_id, job=job)
    for row in ended:
        changes.add_status(row, "cancelled")
    await request_provider_cancel(connection, changes, ended)
    if job is not None:
        await release_or_skip_downstream(connection, changes, ended)
    running = await sql.request_running_jobs_cancel(connection, execution_id=execution_id, job=job)
    await changes.record(connection)
    await _notify_workers(connection, running)
    return {row["id"] for row in (*ended, *running)}


async def _notify_workers(connection: Connection, running: list[Any]) -> None:
    for worker in {row["worker_id"] for row in running}:
        await sql.notify_control(connection, message=f"cancel {worker}")
