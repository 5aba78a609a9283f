"""Jobs: read, cancel, retry."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.executions import RetryOptions
from callsheet.api.problems import problem_responses
from callsheet.domain.records import Job
from callsheet.engine.jobs.cancel import cancel_job
from callsheet.engine.jobs.owners import limits_of
from callsheet.engine.jobs.retry import retry_job
from callsheet.engine.reads.jobs import get_job

router = APIRouter(prefix="/api/jobs", tags=["jobs"])


@router.get("/{job_record_id}", summary="Read a job", responses={**problem_responses(404), 200: examples.job})
async def read_job(job_record_id: UUID, runtime: RuntimeDep) -> Job:
    """Return a job by its record id (`id`, not the `jobId` of the plan)."""
    return await get_job(runtime.database, job_record_id, runtime.sign)


@router.post(
    "/{job_record_id}/cancel",
    name="cancel_job",
    summary="Cancel a job",
    responses={**problem_responses(404, 409), 200: examples.job},
)
async def cancel_one_job(job_record_id: UUID, runtime: RuntimeDep) -> Job:
    """Cancel a job. Jobs that depend on it are skipped."""
    await cancel_job(runtime.database, job_record_id)
    return await get_job(runtime.database, job_record_id, runtime.sign)


@router.post(
    "/{job_record_id}/retry",
    name="retry_job",
    summary="Retry a job",
    responses={**problem_responses(402, 404, 409, 422), 200: examples.job},
)
async def retry_one_job(
    job_record_id: UUID,
    runtime: RuntimeDep,
    options: Annotated[RetryOptions | None, Body(openapi_examples=examples.retry_options)] = None,
) -> Job:
    """Run a job again, with the failed jobs that it depends on and the jobs that were skipped because of it."""
    resubmit = bool(options and options.resubmit)
    await retry_job(runtime.database, job_record_id, resubmit=resubmit, limits=limits_of(runtime.settings))
    return await get_job(runtime.database, job_record_id, runtime.sign)
