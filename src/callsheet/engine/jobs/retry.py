"""Manual retries of executions and jobs."""

from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.events import ReasonData
from callsheet.domain.retry_policy import RetryState, jobs_to_retry
from callsheet.domain.statuses import EXECUTION_ENDED, JobStatus, actions_from
from callsheet.engine.jobs.changes import Changes

_REASON = "manual retry"


async def retry_execution(database: Database, execution_id: UUID, *, resubmit: bool = False) -> int:
    """Run every job again that failed, was cancelled or was skipped. Succeeded jobs keep their results.

    A submission whose task may still succeed, or whose outcome is unknown, is not sent again. `resubmit` sends it
    again, and also repeats once-only steps of unknown outcome: the provider may charge twice.
    Returns the number of jobs that run again. Raises NotFound, or InvalidState if no job can be retried.
    """

    async def retry(connection: Connection) -> int:
        execution = await sql.execution_to_change(connection, id=execution_id)
        if execution is None:
            raise NotFound(f"There is no execution {execution_id}.")
        jobs = await _select_jobs(connection, execution_id, None)
        if not jobs:
            raise InvalidState(f"The execution is {execution['status']}; it has no job that can be retried.")
        return await _reset(connection, execution, jobs, resubmit)

    return await database.retry(retry, transaction=True)


async def retry_job(database: Database, job_id: UUID, *, resubmit: bool = False) -> int:
    """Run one job again, with the failed upstream jobs that it needs and the jobs that were skipped because of it.

    `resubmit` as for `retry_execution`. Returns the number of jobs that run again. Raises NotFound, or InvalidState if
    the job cannot be retried in its status.
    """

    async def retry(connection: Connection) -> int:
        row = await sql.execution_of_job(connection, id=job_id)
        if row is None:
            raise NotFound(f"There is no job {job_id}.")
        execution = await sql.execution_to_change(connection, id=row["execution_id"])
        job = await sql.get_job(connection, id=job_id)
        if "retry" not in actions_from(JobStatus(job["status"])):
            raise InvalidState(f"The job is {job['status']} and cannot be retried now.")
        jobs = await _select_jobs(connection, row["execution_id"], job_id)
        return await _reset(connection, execution, jobs, resubmit)

    return await database.retry(retry, transaction=True)


async def _select_jobs(connection: Connection, execution_id: UUID, only: UUID | None) -> list[UUID]:
    rows = await sql.retry_states(connection, execution_id=execution_id)
    jobs = {row["id"]: RetryState(JobStatus(row["status"]), row["continue_on_failure"]) for row in rows}
    edges = await sql.edges_of_execution(connection, execution_id=execution_id) if only else []
    return list(jobs_to_retry(jobs, [(edge["upstream"], edge["downstream"]) for edge in edges], only))


async def _reset(connection: Connection, execution: Any, jobs: list[UUID], resubmit: bool) -> int:
    if resubmit:
        await sql.clear_once_steps(connection, jobs=jobs)
    await sql.close_submissions(connection, jobs=jobs, resubmit=resubmit)
    # The retry wants the task of a submission of unknown outcome, if it exists: do not cancel it.
    await sql.withdraw_provider_cancel(connection, jobs=jobs)
    changes = Changes()
    if execution["status"] in EXECUTION_ENDED and execution["started_at"] is not None:
        changes.add_execution_status(execution["id"], "running", ReasonData(reason=_REASON))
    rows = await sql.reset_jobs(connection, ids=jobs)
    for row in rows:
        if row["status"] == "queued":
            changes.add_queued(row, _REASON)
        else:
            changes.add_status(row, row["status"], ReasonData(reason=_REASON))
    await sql.recount_execution(connection, id=execution["id"])
    await changes.record(connection)
    return len(rows)
