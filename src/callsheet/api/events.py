"""Events of an execution, as a stream (server-sent events) or as JSON pages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.event_messages import EventMessages
from callsheet.api.followed_pages import PAGE_SIZE, FollowedPage, LastEventId
from callsheet.api.problems import problem_responses
from callsheet.console.sse import SSE_HEADERS, sse_stream
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.domain.events import Event
from callsheet.domain.statuses import EXECUTION_ENDED
from callsheet.engine.jobs.receipt import status_and_last_event
from callsheet.engine.reads.events import events_after
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/executions", tags=["executions"])

log = structlog.get_logger(__name__)

_RECONNECT_SECONDS = 1
"""Pause before the events are read again after a database error."""


class EventPage(FollowedPage):
    """Events of an execution, oldest first."""

    events: list[Event]


@router.get(
    "/{execution_id}/events",
    summary="Follow an execution's events",
    response_model=EventPage,
    responses={
        **problem_responses(404, 422),
        200: examples.events,
        204: {"description": "The execution has ended and there are no more events"},
    },
)
async def follow_events(
    request: Request,
    execution_id: UUID,
    runtime: RuntimeDep,
    after: Annotated[int | None, Query(ge=0, description="Return only events with a greater number")] = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Stream the events of an execution, each once, in the order of their numbers, without gaps.

    The stream ends after the event that ends the execution. A client that reconnects after that gets 204, so that it
    does not reconnect again. With `Accept: application/json`, the response is a page of up to 500 events.
    """
    start = last_event_id if last_event_id is not None else after or 0
    status, last = await status_and_last_event(runtime.database, execution_id)
    if _accepts_json(request):
        events = await events_after(runtime.database, execution_id, start, limit=PAGE_SIZE)
        last_number = events[-1].number if events else start
        ended = status in EXECUTION_ENDED and last_number >= last
        page = EventPage(events=events, next_after=last_number, ended=ended)
        return Response(page.model_dump_json(), media_type="application/json")
    if status in EXECUTION_ENDED and start >= last:
        return Response(status_code=204)
    messages = _sse_messages(runtime, execution_id, start, request.app.state.event_messages)
    return StreamingResponse(
        sse_stream(messages, closing=request.app.state.closing), headers=SSE_HEADERS, media_type="text/event-stream"
    )


def _accepts_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/event-stream" not in accept


async def _sse_messages(
    runtime: Runtime, execution_id: UUID, after: int, messages: EventMessages
) -> AsyncIterator[str]:
    """Yield events as SSE messages. A database error does not end the stream."""
    while True:
        try:
            async with aclosing(runtime.event_stream.follow(execution_id, after=after)) as events:
                async for event in events:
                    after = event.number
                    yield messages.of(execution_id, event)
            return
        except TRANSIENT_ERRORS as error:
            log.warning("event stream: database unavailable, retrying", error=type(error).__name__)
            yield ": database unavailable, retrying\n\n"
            await asyncio.sleep(_RECONNECT_SECONDS)
