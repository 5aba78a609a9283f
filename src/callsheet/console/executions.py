"""Pages: the list of executions, and one execution."""

from functools import partial
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.responses import CheckedForm, RuntimeDep, page_response
from callsheet.domain.clock import shared_now
from callsheet.domain.records import Execution, QueueRecord
from callsheet.domain.statuses import ENDED, EXECUTION_ENDED, JobStatus
from callsheet.engine.jobs.cancel import cancel_execution, cancel_job
from callsheet.engine.jobs.retry import retry_execution, retry_job
from callsheet.engine.reads.executions import ExecutionFilter, get_execution, list_executions
from callsheet.engine.reads.jobs import get_job
from callsheet.engine.reads.queues import list_queues
from callsheet.processes.plan_thread import in_plan_thread

router = APIRouter()

PAGE_SIZE = 50
"""Executions per page."""
_MAX_JOBS_ON_LOOP = 100
"""The page of a larger execution is rendered in a thread, so that it does not block the event loop."""


@router.get("/")
async def list_page(request: Request, runtime: RuntimeDep, before: UUID | None = None) -> Response:
    """Show executions, newest first."""
    found = await list_executions(runtime.database, ExecutionFilter(), before=before, limit=PAGE_SIZE + 1)
    queues = await list_queues(runtime.database, runtime.catalog)
    return page_response(
        request,
        "executions.html",
        executions=found[:PAGE_SIZE],
        older=found[PAGE_SIZE - 1].execution_id if len(found) > PAGE_SIZE else None,
        first=before is None,
        warnings=[_warning(queue) for queue in queues if queue.paused or (queue.queued and not queue.slots)],
        base_url=runtime.base_url,
    )


def _warning(queue: QueueRecord) -> str:
    queued = f"{queue.queued:,} {'job is' if queue.queued == 1 else 'jobs are'} queued."
    if queue.paused:
        return f"The queue “{queue.name}” is paused; {queued}"
    return f"No worker serves the queue “{queue.name}”; {queued}"


@router.get("/executions/{execution_id}")
async def execution_page(request: Request, execution_id: UUID, runtime: RuntimeDep) -> Response:
    """Show an execution: status, jobs and files."""
    execution = await get_execution(runtime.database, execution_id, runtime.sign)
    respond = partial(
        page_response,
        request,
        "execution.html",
        execution=execution,
        summary=_summary(execution),
        now=shared_now(),
        live=execution.status not in EXECUTION_ENDED,
        params={job.job_id: {"params": job.params, "result": job.result} for job in execution.jobs},
    )
    return await in_plan_thread(respond) if len(execution.jobs) > _MAX_JOBS_ON_LOOP else respond()


def _summary(execution: Execution) -> str:
    """Return the number of ended jobs, or the ids of failed jobs."""
    if execution.status not in EXECUTION_ENDED:
        ended = sum(job.status in ENDED for job in execution.jobs)
        stopping = "Running jobs are being stopped. " if execution.cancel_requested_at else ""
        return f"{stopping}Ended jobs: {ended} of {len(execution.jobs)}."
    failed = [job.job_id for job in execution.jobs if job.status is JobStatus.FAILED]
    if not failed:
        return ""
    return f"Failed: {', '.join(failed[:5])}{', …' if len(failed) > 5 else ''}."


@router.post("/executions/{execution_id}/cancel")
async def cancel(execution_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Cancel all jobs that have not ended."""
    del form
    await cancel_execution(runtime.database, execution_id)
    return _redirect_to(execution_id)


@router.post("/executions/{execution_id}/retry")
async def retry(execution_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Run all jobs again that did not succeed."""
    await retry_execution(runtime.database, execution_id, resubmit="resubmit" in form)
    return _redirect_to(execution_id)


@router.post("/jobs/{job_id}/cancel")
async def cancel_one_job(job_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Cancel a job."""
    del form
    await cancel_job(runtime.database, job_id)
    return _redirect_to((await get_job(runtime.database, job_id, runtime.sign)).execution_id)


@router.post("/jobs/{job_id}/retry")
async def retry_one_job(job_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Run a job again."""
    await retry_job(runtime.database, job_id, resubmit="resubmit" in form)
    return _redirect_to((await get_job(runtime.database, job_id, runtime.sign)).execution_id)


def _redirect_to(execution_id: UUID) -> RedirectResponse:
    return RedirectResponse(f"/executions/{execution_id}", 303)
