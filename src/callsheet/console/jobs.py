"""The page of one job: its runs, what it submitted to providers, its files and its log."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from callsheet.console.rendering import indented
from callsheet.console.responses import RuntimeDep, page_response
from callsheet.domain.clock import shared_now
from callsheet.engine.reads.job_page import read_job_page
from callsheet.processes.plan_thread import in_plan_thread

router = APIRouter(prefix="/jobs")

_MOST_JSON = 100_000
"""Characters of params or result on the page."""


@router.get("/{job_id}")
async def page(request: Request, job_id: UUID, runtime: RuntimeDep) -> Response:
    """Show a job."""
    shown = await read_job_page(runtime.database, job_id, runtime.sign)

    def respond() -> Response:
        return page_response(
            request,
            "job.html",
            page=shown,
            job=shown.job,
            now=shared_now(),
            params=indented(shown.job.params, _MOST_JSON),
            result=indented(shown.job.result, _MOST_JSON),
        )

    return await in_plan_thread(respond)
