"""Moves of jobs in the console, and the page of what waits in one queue."""

from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.fragments import Fragment
from callsheet.console.rendering import render_macro
from callsheet.console.responses import CheckedForm, RuntimeDep, csrf_token, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.domain.errors import BadInput, NotFound, Problem, ProblemList
from callsheet.domain.moves import Move
from callsheet.engine.jobs.moves import (
    MAX_PRIORITY,
    change_queue_of_job,
    hold_job,
    prioritize_job,
    release_job,
    run_job_next,
    start_job_later,
)
from callsheet.engine.reads.jobs import get_job
from callsheet.engine.reads.queues import list_queues, next_jobs
from callsheet.wiring import Runtime

router = APIRouter()

_REFRESH_SECONDS = 2.0
_SHOWN_JOBS = 50


@router.get("/console/queues/{name}/jobs")
async def queue_page(request: Request, name: str, runtime: RuntimeDep) -> Response:
    """Show the jobs of a queue in the order in which they start."""
    await _check_queue(runtime, name)
    return page_response(
        request, "queue.html", name=name, most=_SHOWN_JOBS, rows=await _rows(runtime, name, csrf_token(request))
    )


@router.get("/console/queues/{name}/jobs/stream")
async def queue_stream(request: Request, name: str, runtime: RuntimeDep) -> Response:
    """Stream the changed jobs of a queue."""
    await _check_queue(runtime, name)
    return shared_stream(request, lambda token: _rows(runtime, name, token), every=_REFRESH_SECONDS)


@router.post("/jobs/{job_id}/moves/{move}")
async def move_job(job_id: UUID, move: Move, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Move a job, and return to the page of its execution, of its queue, or its own."""
    database = runtime.database
    match move:
        case Move.RUN_NEXT:
            await run_job_next(database, job_id)
        case Move.HOLD:
            await hold_job(database, job_id)
        case Move.RELEASE:
            await release_job(database, job_id)
        case Move.CHANGE_QUEUE:
            await change_queue_of_job(database, runtime.catalog, job_id, form.get("queue", "").strip())
        case Move.PRIORITIZE:
            await prioritize_job(database, job_id, _priority(form.get("priority", "")))
        case Move.START_LATER:
            await start_job_later(database, job_id, _time(form.get("start_at", "")))
    job = await get_job(database, job_id, runtime.sign)
    pages = {"queue": f"/console/queues/{quote(job.queue, safe='')}/jobs", "job": f"/jobs/{job_id}"}
    return RedirectResponse(pages.get(form.get("from", ""), f"/executions/{job.execution_id}"), 303)


async def _check_queue(runtime: Runtime, name: str) -> None:
    if name not in {queue.name for queue in await list_queues(runtime.database, runtime.catalog)}:
        raise NotFound(f"There is no queue '{name}'.")


def _priority(text: str) -> int:
    try:
        priority = int(text)
    except ValueError:
        priority = MAX_PRIORITY + 1
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        message = f"'{text[:40]}' is not a whole number from -{MAX_PRIORITY:,} to {MAX_PRIORITY:,}"
        raise ProblemList([Problem("priority", "bad_value", message)], "1 problem in the form")
    return priority


def _time(text: str) -> datetime:
    """Return the time of a field, which has no zone and means UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"'{text[:40]}' is not a date with a time.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def _rows(runtime: Runtime, queue: str, token: FormToken) -> list[Fragment]:
    return [
        Fragment(f"waiting-{job.id}", render_macro("move_parts.html", "waiting_job", job, token), "", "waiting")
        for job in await next_jobs(runtime.database, queue, limit=_SHOWN_JOBS)
    ]
