"""Events of an execution, as a stream (SSE) or as pages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.console.sse import HEADERS, stream
from callsheet.db.database import TRANSIENT_ERRORS
from callsheet.domain.model import Model
from callsheet.domain.records import Event
from callsheet.domain.statuses import EXECUTION_ENDED
from callsheet.engine.jobs.receipt import status_and_last_event
from callsheet.engine.reads.events import events_after
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/executions", tags=["executions"])

log = structlog.get_logger(__name__)

_PAGE = 500


class EventPage(Model):
    """Some of an execution's events, oldest first."""

    events: list[Event]
    next_after: int = Field(description="Give it as `after` for what follows")
    ended: bool = Field(description="The execution has ended, and no event follows these")


@router.get(
    "/{execution_id}/events",
    summary="Follow an execution's events",
    response_model=EventPage,
    responses={**problem_responses(404, 422), 200: examples.events, 204: {"description": "Ended, and all was seen"}},
)
async def follow_events(
    request: Request,
    execution_id: UUID,
    runtime: RuntimeDep,
    after: Annotated[int | None, Query(ge=0, description="Only events with a greater number")] = None,
    last_event_id: Annotated[
        int | None, Header(ge=0, description="As `after`; sent by clients that connect again")
    ] = None,
) -> Response:
    """Each event once, in the order of its number, without gaps; the stream ends after the event that ends the
    execution, and 204 tells a client that comes back then to stay away.

    With `Accept: application/json`, a page of up to 500 events instead of a stream.
    """
    start = last_event_id if last_event_id is not None else after or 0
    status, last = await status_and_last_event(runtime.database, execution_id)
    if _wants_page(request):
        events = await events_after(runtime.database, execution_id, start, limit=_PAGE)
        reached = events[-1].number if events else start
        ended = status in EXECUTION_ENDED and reached >= last
        page = EventPage(events=events, next_after=reached, ended=ended)
        return Response(page.model_dump_json(), media_type="application/json")
    if status in EXECUTION_ENDED and start >= last:
        return Response(status_code=204)
    messages = _messages(runtime, execution_id, start)
    return StreamingResponse(
        stream(messages, closing=request.app.state.closing), headers=HEADERS, media_type="text/event-stream"
    )


def _wants_page(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/event-stream" not in accept


async def _messages(runtime: Runtime, execution_id: UUID, after: int) -> AsyncIterator[str]:
    """Yield events as SSE messages; a database that is away for a while ends nothing."""
    while True:
        try:
            async with aclosing(runtime.event_stream.follow(execution_id, after=after)) as events:
                async for event in events:
                    after = event.number
                    yield f"id: {event.number}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
            return
        except TRANSIENT_ERRORS as error:
            log.warning("event stream waits for the database", error=type(error).__name__)
            yield ": the database does not answer, waiting\n\n"
            await asyncio.sleep(1)
