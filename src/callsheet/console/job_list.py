"""The page of jobs over all executions."""

from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response

from callsheet.console.filter_fields import query_of
from callsheet.console.fragments import Fragment
from callsheet.console.job_filters import JobFilters, view_of
from callsheet.console.rendering import render_macro
from callsheet.console.responses import RuntimeDep, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.console.views import views_of
from callsheet.domain.records import JobSummary
from callsheet.domain.statuses import JobStatus
from callsheet.engine.reads.job_lists import JobFilter, list_jobs
from callsheet.engine.reads.queues import list_queues

router = APIRouter(prefix="/console/jobs")

_PAGE_SIZE = 50
_REFRESH_SECONDS = 1.0


@router.get("")
async def page(request: Request, runtime: RuntimeDep, filters: JobFilters, before: UUID | None = None) -> Response:
    """Show jobs, newest first, with the filters of the API."""
    found = await list_jobs(runtime.reads, filters, before=before, limit=_PAGE_SIZE + 1)
    last = found[_PAGE_SIZE - 1].id if len(found) > _PAGE_SIZE else None
    query = query_of(request, before=None)
    return page_response(
        request,
        "jobs.html",
        rows=_rows(found[:_PAGE_SIZE]),
        filters=filters,
        filtered=filters != JobFilter(),
        statuses=list(JobStatus),
        views=await views_of(runtime, request.state.caller, "jobs", view_of(filters)),
        operations=sorted(operation.name for operation in runtime.catalog.operations()),
        queues=[queue.name for queue in await list_queues(runtime.reads, runtime.catalog)],
        stream=f"/console/jobs/stream?{query}",
        query=query,
        retry_query=_retry_query(filters),
        older_query=query_of(request, before=last) if last else None,
        first=before is None,
    )


@router.get("/stream")
async def stream(request: Request, runtime: RuntimeDep, filters: JobFilters) -> Response:
    """Stream the changed rows of the newest page."""

    async def rows(token: FormToken) -> list[Fragment]:
        del token
        return _rows(await list_jobs(runtime.database, filters, before=None, limit=_PAGE_SIZE))

    return shared_stream(request, rows, every=_REFRESH_SECONDS, of=repr(filters))


def _rows(jobs: list[JobSummary]) -> list[Fragment]:
    return [
        Fragment(f"job-{job.id}", render_macro("job_list_parts.html", "row", job), "", "rows", "start") for job in jobs
    ]


def _retry_query(filters: JobFilter) -> str | None:
    """Return the filter of the executions of these jobs, as a query; None: no filter of executions finds the same.

    Only with an error code does a filter of executions look at failed jobs.
    """
    others = (filters.execution_id, filters.created_after, filters.created_before)
    if filters.error_code is None or any(others) or filters.statuses not in (None, [JobStatus.FAILED]):
        return None
    return urlencode({name: value for name, value in view_of(filters).items() if name != "status"})
