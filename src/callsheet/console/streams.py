"""Event streams that update open pages; one stream per page."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from callsheet.console.executions import PAGE_SIZE
from callsheet.console.rendering import render_macro
from callsheet.console.responses import RuntimeDep
from callsheet.console.sse import SSE_HEADERS, sse_stream
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.statuses import EXECUTION_ENDED
from callsheet.engine.jobs.receipt import status_and_last_event
from callsheet.engine.reads.executions import ExecutionFilter, list_executions
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/stream")

_POLL_SECONDS = 1.0
"""Time between two reads of the list, and the pause after a database error."""


@router.get("")
async def list_stream(request: Request, runtime: RuntimeDep) -> Response:
    """Stream the changed rows of the list."""
    return _respond(request, _rows(runtime))


@router.get("/{execution_id}")
async def execution_stream(request: Request, execution_id: UUID, runtime: RuntimeDep, after: int = 0) -> Response:
    """Stream the numbers of events after the event `after`."""
    status, last = await status_and_last_event(runtime.database, execution_id)
    if status in EXECUTION_ENDED and after >= last:
        return Response(status_code=204)
    return _respond(request, _event_numbers(runtime, execution_id, after))


def _respond(request: Request, messages: AsyncIterator[str]) -> Response:
    body = sse_stream(messages, closing=request.app.state.closing)
    return StreamingResponse(body, headers=SSE_HEADERS, media_type="text/event-stream")


async def _rows(runtime: Runtime) -> AsyncIterator[str]:
    """Yield all rows, then the rows of executions with new events."""
    known: dict[UUID, int] = {}
    while True:
        try:
            newest = await runtime.database.retry(lambda c: sql.newest_executions(c, limit=PAGE_SIZE), timeout=5)
            last_events = {row["id"]: row["last_event"] for row in newest}
            changed = {key for key, last in last_events.items() if known.get(key) != last}
            if changed:
                rows = await list_executions(runtime.database, ExecutionFilter(), before=None, limit=PAGE_SIZE)
                for row in reversed([row for row in rows if row.execution_id in changed]):
                    html = render_macro("parts.html", "row", row)
                    yield f"data: {json.dumps({'id': str(row.execution_id), 'html': html})}\n\n"
            known = last_events
        except TRANSIENT_ERRORS:
            yield ": database unavailable, retrying\n\n"
        await asyncio.sleep(_POLL_SECONDS)


async def _event_numbers(runtime: Runtime, execution_id: UUID, after: int) -> AsyncIterator[str]:
    while True:
        try:
            async with aclosing(runtime.event_stream.follow(execution_id, after=after)) as events:
                async for event in events:
                    after = event.number
                    yield f"id: {after}\ndata: {after}\n\n"
            yield "event: ended\ndata: \n\n"
            return
        except TRANSIENT_ERRORS:
            yield ": database unavailable, retrying\n\n"
            await asyncio.sleep(_POLL_SECONDS)
