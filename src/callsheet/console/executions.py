"""The list of executions, and the page of one."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.responses import CheckedForm, RuntimeDep, show
from callsheet.domain.records import Execution, QueueRecord
from callsheet.domain.statuses import ENDED, EXECUTION_ENDED, JobStatus
from callsheet.engine.jobs.cancel import cancel_execution, cancel_job
from callsheet.engine.jobs.retry import retry_execution, retry_job
from callsheet.engine.reads.executions import ExecutionFilter, get_execution, list_executions
from callsheet.engine.reads.jobs import get_job
from callsheet.engine.reads.queues import list_queues

router = APIRouter()

PAGE = 50


@router.get("/")
async def list_page(request: Request, runtime: RuntimeDep, before: UUID | None = None) -> Response:
    """Executions, newest first."""
    found = await list_executions(runtime.database, ExecutionFilter(), before=before, limit=PAGE + 1)
    return show(
        request,
        "executions.html",
        executions=found[:PAGE],
        older=found[PAGE - 1].execution_id if len(found) > PAGE else None,
        first=before is None,
        notices=list(map(_notice, filter(_needs_somebody, await list_queues(runtime.database, runtime.catalog)))),
        base_url=runtime.base_url,
    )


def _needs_somebody(queue: QueueRecord) -> bool:
    return queue.paused or bool(queue.queued and not queue.slots)


def _notice(queue: QueueRecord) -> str:
    waiting = f"{queue.queued:,} {'job waits' if queue.queued == 1 else 'jobs wait'}"
    if queue.paused:
        return f"The queue “{queue.name}” is paused; {waiting} in it."
    return f"No worker takes jobs from the queue “{queue.name}”; {waiting} in it."


@router.get("/executions/{execution_id}")
async def execution_page(request: Request, execution_id: UUID, runtime: RuntimeDep) -> Response:
    """One execution: how it stands, its jobs, its files."""
    execution = await get_execution(runtime.database, execution_id, runtime.sign)
    return show(
        request,
        "execution.html",
        execution=execution,
        sentence=_sentence(execution),
        now=datetime.now(UTC),
        live=execution.status not in EXECUTION_ENDED,
        params={job.job_id: {"params": job.params, "result": job.result} for job in execution.jobs},
    )


def _sentence(execution: Execution) -> str:
    """What the status word alone does not tell."""
    if execution.status not in EXECUTION_ENDED:
        ended = sum(job.status in ENDED for job in execution.jobs)
        asked = "Jobs that run are being stopped. " if execution.cancel_requested_at else ""
        return f"{asked}Jobs done: {ended} of {len(execution.jobs)}."
    failed = [job.job_id for job in execution.jobs if job.status is JobStatus.FAILED]
    if not failed:
        return ""
    return f"Failed: {', '.join(failed[:5])}{', …' if len(failed) > 5 else ''}."


@router.post("/executions/{execution_id}/cancel")
async def cancel(execution_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Cancel what has not ended."""
    del form
    await cancel_execution(runtime.database, execution_id)
    return _back(execution_id)


@router.post("/executions/{execution_id}/retry")
async def retry(execution_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Run again what did not succeed."""
    await retry_execution(runtime.database, execution_id, resubmit="resubmit" in form)
    return _back(execution_id)


@router.post("/jobs/{job_id}/cancel")
async def cancel_one(job_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Cancel one job."""
    del form
    await cancel_job(runtime.database, job_id)
    return _back((await get_job(runtime.database, job_id, runtime.sign)).execution_id)


@router.post("/jobs/{job_id}/retry")
async def retry_one(job_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Run one job again."""
    await retry_job(runtime.database, job_id, resubmit="resubmit" in form)
    return _back((await get_job(runtime.database, job_id, runtime.sign)).execution_id)


def _back(execution_id: UUID) -> RedirectResponse:
    return RedirectResponse(f"/executions/{execution_id}", 303)
