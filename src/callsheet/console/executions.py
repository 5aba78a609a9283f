"""Pages: the list of executions, and one execution."""

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.access.keys import list_keys
from callsheet.console.copies import copies_of
from callsheet.console.execution_filters import Filters, view_of
from callsheet.console.execution_parts import execution_fragments, graph_frame, log_fragments
from callsheet.console.filter_fields import query_of
from callsheet.console.responses import CheckedForm, RuntimeDep, csrf_token, page_response
from callsheet.console.views import views_of
from callsheet.domain.records import QueueRecord
from callsheet.domain.statuses import EXECUTION_ENDED, JobStatus
from callsheet.engine.jobs.cancel import cancel_execution, cancel_job
from callsheet.engine.jobs.owners import limits_of
from callsheet.engine.jobs.retry import retry_execution, retry_job
from callsheet.engine.reads.execution_page import MAX_NODES, JobsOfPage, newest_log_lines, read_execution_page
from callsheet.engine.reads.executions import ExecutionFilter, count_executions, list_executions
from callsheet.engine.reads.jobs import get_job
from callsheet.engine.reads.queues import list_queues
from callsheet.engine.retention.delete import delete_execution
from callsheet.processes.plan_thread import in_plan_thread

router = APIRouter()

PAGE_SIZE = 50
"""Executions per page."""
MOST_COUNTED = 1000
"""Executions of a status are counted up to this number: counting a long history is slow."""
_TEXT = r"^[^\x00]*$"


async def _asked_jobs(
    status: Annotated[JobStatus | None, Query()] = None,
    job: Annotated[str | None, Query(max_length=200, pattern=_TEXT)] = None,
    after: UUID | None = None,
) -> JobsOfPage:
    return JobsOfPage([status] if status else None, job or None, after)


AskedJobs = Annotated[JobsOfPage, Depends(_asked_jobs)]


@router.get("/executions")
async def list_page(request: Request, runtime: RuntimeDep, filters: Filters, before: UUID | None = None) -> Response:
    """Show executions, newest first, with the filters of the API."""
    found = await list_executions(runtime.reads, filters, before=before, limit=PAGE_SIZE + 1)
    queues = await list_queues(runtime.reads, runtime.catalog)
    last = found[PAGE_SIZE - 1].execution_id if len(found) > PAGE_SIZE else None
    return page_response(
        request,
        "executions.html",
        executions=found[:PAGE_SIZE],
        filters=filters,
        filtered=filters != ExecutionFilter(),
        views=await views_of(runtime, request.state.caller, "executions", view_of(filters)),
        counts=await count_executions(runtime.reads, most=MOST_COUNTED),
        most=MOST_COUNTED,
        operations=sorted(operation.name for operation in runtime.catalog.operations()),
        queues=[queue.name for queue in queues],
        keys=await list_keys(runtime.database),
        stream=f"/console/stream?{query_of(request, before=None)}",
        query=query_of(request, before=None),
        older_query=query_of(request, before=last) if last else None,
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
async def execution_page(request: Request, execution_id: UUID, runtime: RuntimeDep, asked: AskedJobs) -> Response:
    """Show an execution: status, plan, a page of its jobs with their files, timeline, events and log."""
    page = await read_execution_page(runtime.database, execution_id, asked, runtime.sign)
    lines = await newest_log_lines(runtime.database, execution_id)
    copies = await copies_of(runtime, execution_id)
    token = csrf_token(request)
    chosen = {"status": asked.statuses[0].value} if asked.statuses else {}
    chosen |= {"job": asked.root} if asked.root else {}

    def respond() -> Response:
        sections = execution_fragments(page, token)
        newest = {"after_event": page.last_event, "after_line": lines[-1][0] if lines else 0}
        shown = {"after": asked.after} if asked.after else {}
        return page_response(
            request,
            "execution.html",
            page=page,
            execution=page.summary,
            sections=sections,
            graph=graph_frame(page, sections["graph"]),
            max_nodes=MAX_NODES,
            log=log_fragments(lines),
            copies=copies,
            live=page.summary.status not in EXECUTION_ENDED,
            stream=f"/console/stream/{execution_id}?{urlencode({**newest, **chosen, **shown})}",
            statuses=list(JobStatus),
            chosen=list(asked.statuses or ()),
            root=asked.root,
            after=asked.after,
            first_url=f"?{urlencode(chosen)}",
            next_url=f"?{urlencode({**chosen, 'after': page.next_after})}" if page.next_after else None,
            base_url=runtime.base_url,
        )

    # Not on the event loop: a large plan has a large drawing.
    return await in_plan_thread(respond)


@router.post("/executions/{execution_id}/cancel")
async def cancel(execution_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Cancel all jobs that have not ended."""
    del form
    await cancel_execution(runtime.database, execution_id)
    return _redirect_to(execution_id)


@router.post("/executions/{execution_id}/retry")
async def retry(execution_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Run all jobs again that did not succeed."""
    limits = limits_of(runtime.settings)
    await retry_execution(runtime.database, execution_id, resubmit="resubmit" in form, limits=limits)
    return _redirect_to(execution_id)


@router.post("/executions/{execution_id}/delete")
async def delete(request: Request, execution_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Delete an ended execution with its jobs, events, logs and files."""
    del form
    await delete_execution(runtime.database, runtime.storage, execution_id)
    return page_response(request, "deleted.html", execution_id=execution_id)


@router.post("/jobs/{job_id}/cancel")
async def cancel_one_job(job_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Cancel a job."""
    del form
    await cancel_job(runtime.database, job_id)
    return _redirect_to((await get_job(runtime.database, job_id, runtime.sign)).execution_id)


@router.post("/jobs/{job_id}/retry")
async def retry_one_job(job_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Run a job again."""
    limits = limits_of(runtime.settings)
    await retry_job(runtime.database, job_id, resubmit="resubmit" in form, limits=limits)
    return _redirect_to((await get_job(runtime.database, job_id, runtime.sign)).execution_id)


def _redirect_to(execution_id: UUID) -> RedirectResponse:
    return RedirectResponse(f"/executions/{execution_id}", 303)
