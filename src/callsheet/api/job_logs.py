"""Logs of jobs, as a stream (server-sent events) or as JSON pages."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.followed_pages import PAGE_SIZE, FollowedPage, LastEventId
from callsheet.api.problems import problem_responses
from callsheet.console.sse import SSE_HEADERS, sse_stream
from callsheet.db.database import Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.domain.records import JobLogLine
from callsheet.engine.reads.job_logs import job_log_page

router = APIRouter(prefix="/api/executions", tags=["executions"])

log = structlog.get_logger(__name__)

_POLL_SECONDS = 1
"""Pause before new lines are read."""


class JobLog(FollowedPage):
    """Log lines of jobs, oldest first."""

    logs: list[JobLogLine]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines a request asks for."""

    after: int
    """Number of the line before the first one that is asked for."""
    limit: int
    follow: bool


async def _query(
    after: Annotated[int, Query(ge=0, description="`nextAfter` of the previous page")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_SIZE, description="Maximum number of lines of a page")] = PAGE_SIZE,
    follow: Annotated[bool, Query(description="Stream the lines, and new ones until the jobs have ended")] = False,
    last_event_id: LastEventId = None,
) -> LogQuery:
    return LogQuery(last_event_id if last_event_id is not None else after, limit, follow)


Lines = Annotated[LogQuery, Depends(_query)]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    **problem_responses(404, 422),
    200: examples.job_logs,
    204: {"description": "With `follow`: the execution has ended and there are no more lines"},
}


@router.get(
    "/{execution_id}/logs",
    name="read_execution_logs",
    summary="Read the logs of an execution's jobs",
    response_model=JobLog,
    responses=_RESPONSES,
)
async def execution_logs(request: Request, execution_id: UUID, runtime: RuntimeDep, lines: Lines) -> Response:
    """Return what the jobs have printed and logged, oldest first, as pages or with `follow=true` as a stream."""
    return await _respond(request, runtime.database, execution_id, None, lines)


@router.get(
    "/{execution_id}/jobs/{job_id:path}/logs",
    name="read_job_logs",
    summary="Read the log of a job",
    response_model=JobLog,
    responses=_RESPONSES,
)
async def job_logs(request: Request, execution_id: UUID, job_id: str, runtime: RuntimeDep, lines: Lines) -> Response:
    """Return what a job has printed and logged in all its attempts. `job_id` is its id in the plan."""
    return await _respond(request, runtime.database, execution_id, job_id, lines)


async def _respond(
    request: Request, database: Database, execution_id: UUID, job_id: str | None, asked: LogQuery
) -> Response:
    page = await job_log_page(database, execution_id, job_id, after=asked.after, limit=asked.limit)
    if not asked.follow:
        last = page.numbers[-1] if page.numbers else asked.after
        data = JobLog(logs=page.lines, next_after=last, ended=page.ended)
        return Response(data.model_dump_json(), media_type="application/json")
    if page.ended and not page.lines:
        # A client that reconnects after the end must not reconnect again.
        return Response(status_code=204)
    messages = _sse_messages(database, execution_id, job_id, asked.after)
    return StreamingResponse(
        sse_stream(messages, closing=request.app.state.closing), headers=SSE_HEADERS, media_type="text/event-stream"
    )


async def _sse_messages(database: Database, execution_id: UUID, job_id: str | None, after: int) -> AsyncIterator[str]:
    """Yield lines as SSE messages until the end. A database error does not end the stream."""
    while True:
        try:
            page = await job_log_page(database, execution_id, job_id, after=after, limit=PAGE_SIZE)
        except TRANSIENT_ERRORS as error:
            log.warning("log stream: database unavailable, retrying", error=type(error).__name__)
            yield ": database unavailable, retrying\n\n"
            await asyncio.sleep(_POLL_SECONDS)
            continue
        for number, line in zip(page.numbers, page.lines, strict=True):
            after = number
            yield f"id: {number}\nevent: job.log\ndata: {line.model_dump_json()}\n\n"
        if page.ended:
            return
        if not page.lines:
            await asyncio.sleep(_POLL_SECONDS)
