"""What open pages are told while they are open; one stream per page."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from callsheet.console.executions import PAGE
from callsheet.console.rendering import part
from callsheet.console.responses import RuntimeDep
from callsheet.console.sse import HEADERS, stream
from callsheet.db.database import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.statuses import EXECUTION_ENDED
from callsheet.engine.jobs.receipt import status_and_last_event
from callsheet.engine.reads.executions import ExecutionFilter, list_executions
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/stream")

_LOOK_EVERY = 1.0


@router.get("")
async def list_stream(request: Request, runtime: RuntimeDep) -> Response:
    """Rows of the list, as they change."""
    return _answer(request, _rows(runtime))


@router.get("/{execution_id}")
async def execution_stream(request: Request, execution_id: UUID, runtime: RuntimeDep, after: int = 0) -> Response:
    """A word whenever something happened to an execution after that event."""
    status, last = await status_and_last_event(runtime.database, execution_id)
    if status in EXECUTION_ENDED and after >= last:
        return Response(status_code=204)
    return _answer(request, _changes(runtime, execution_id, after))


def _answer(request: Request, messages: AsyncIterator[str]) -> Response:
    body = stream(messages, closing=request.app.state.closing)
    return StreamingResponse(body, headers=HEADERS, media_type="text/event-stream")


async def _rows(runtime: Runtime) -> AsyncIterator[str]:
    """Yield every row at first, then those of executions with new events."""
    seen: dict[UUID, int] = {}
    while True:
        try:
            newest = await runtime.database.retry(lambda c: sql.newest_executions(c, limit=PAGE), timeout=5)
            heads = {row["id"]: row["last_event"] for row in newest}
            changed = {key for key, last in heads.items() if seen.get(key) != last}
            if changed:
                rows = await list_executions(runtime.database, ExecutionFilter(), before=None, limit=PAGE)
                for row in reversed([row for row in rows if row.execution_id in changed]):
                    html = part("parts.html", "row", row)
                    yield f"data: {json.dumps({'id': str(row.execution_id), 'html': html})}\n\n"
            seen = heads
        except TRANSIENT_ERRORS:
            yield ": the database does not answer, waiting\n\n"
        await asyncio.sleep(_LOOK_EVERY)


async def _changes(runtime: Runtime, execution_id: UUID, after: int) -> AsyncIterator[str]:
    while True:
        try:
            async with aclosing(runtime.event_stream.follow(execution_id, after=after)) as events:
                async for event in events:
                    after = event.number
                    yield f"id: {after}\ndata: {after}\n\n"
            yield "event: ended\ndata: \n\n"
            return
        except TRANSIENT_ERRORS:
            yield ": the database does not answer, waiting\n\n"
            await asyncio.sleep(_LOOK_EVERY)
