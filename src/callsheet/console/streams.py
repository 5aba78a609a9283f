"""Event streams that update open pages; one stream per page."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter, Request, Response

from callsheet.console.execution_filters import Filters
from callsheet.console.execution_parts import execution_fragments, log_fragments
from callsheet.console.executions import PAGE_SIZE, AskedJobs
from callsheet.console.fragments import ChangedFragments, Fragment, RenderedFragments
from callsheet.console.rendering import render_macro
from callsheet.console.responses import RuntimeDep, csrf_token, form_token, stream_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import TOKEN_MARK, shared_stream
from callsheet.console.shared_reads import SharedReads
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.statuses import EXECUTION_ENDED
from callsheet.engine.jobs.receipt import status_and_last_event
from callsheet.engine.reads.execution_page import ExecutionPage, JobsOfPage, read_execution_page
from callsheet.engine.reads.executions import ExecutionFilter, list_executions
from callsheet.engine.reads.job_logs import job_log_page
from callsheet.processes.plan_thread import in_plan_thread
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/stream")

_POLL_SECONDS = 1.0
"""Time between two reads of the list of executions or of log lines, and the pause after a database error."""
_GROUP_SECONDS = 0.3
_RENDER_SECONDS = 5.0
"""Wait reasons change without an event: a page is rendered again after this time."""
_LOG_LINES = 200


@router.get("")
async def list_stream(request: Request, runtime: RuntimeDep, filters: Filters) -> Response:
    """Stream the changed rows of the list of executions."""

    async def rows(token: FormToken) -> list[Fragment]:
        del token
        found = await list_executions(runtime.database, filters, before=None, limit=PAGE_SIZE)
        return [
            Fragment(f"e-{row.execution_id}", render_macro("parts.html", "row", row), "", "rows", "start")
            for row in found
        ]

    async def newest_events() -> Hashable:
        newest = await runtime.database.retry(lambda c: sql.newest_executions(c, limit=PAGE_SIZE), timeout=5)
        return tuple((row["id"], row["last_event"]) for row in newest)

    # With a filter, others than the newest may be listed.
    version = newest_events if filters == ExecutionFilter() else None
    return shared_stream(request, rows, every=_POLL_SECONDS, of=repr(filters), version=version)


@router.get("/{execution_id}")
async def execution_stream(
    request: Request,
    execution_id: UUID,
    runtime: RuntimeDep,
    asked: AskedJobs,
    after_event: int = 0,
    after_line: int = 0,
) -> Response:
    """Stream the changed parts of the page of an execution.

    `after_event` and `after_line` are the newest event and log line that the page shows.
    """
    status, last = await status_and_last_event(runtime.database, execution_id)
    if status in EXECUTION_ENDED and after_event >= last:
        return Response(status_code=204)
    view = _View(request, runtime, execution_id, asked)
    return stream_response(request, view.messages(after_event, after_line))


@dataclass(frozen=True, slots=True)
class _RenderedPage:
    last_event: int
    ended: bool
    parts: RenderedFragments


@dataclass(frozen=True, slots=True)
class _LogLines:
    messages: list[str]
    last: int
    """Number of the last line."""
    ended: bool


def _render(page: ExecutionPage, token: str) -> _RenderedPage:
    parts = (part for parts in execution_fragments(page, token).values() for part in parts)
    return _RenderedPage(page.last_event, page.summary.status in EXECUTION_ENDED, RenderedFragments(parts))


class _View:
    """An open page of an execution.

    What all pages of the same jobs show is read and rendered once, for callers of the same scopes, with a mark for
    the token of their forms.
    """

    def __init__(self, request: Request, runtime: Runtime, execution_id: UUID, asked: JobsOfPage) -> None:
        self._runtime = runtime
        self._execution_id = execution_id
        self._asked = asked
        self._token = str(csrf_token(request))
        self._shared: SharedReads = request.app.state.shared_reads
        self._marked = form_token(request, TOKEN_MARK)
        self._key = (execution_id, asked.root, asked.after, *(asked.statuses or ()))
        self._scopes = frozenset(request.state.caller.scopes)
        self._changed = ChangedFragments()

    async def messages(self, after_event: int, after_line: int) -> AsyncIterator[str]:
        """Yield the changed parts as they change, until the execution has ended."""
        shown, rendered_at, ended = after_event, -math.inf, False
        while True:
            try:
                # The log is read after the status: the lines of a run are stored before its end.
                is_due = time.monotonic() - rendered_at > _RENDER_SECONDS
                if is_due or await self._wait_for_event(shown):
                    page = await self._rendered(shown if is_due else shown + 1)
                    if rendered_at == -math.inf and page.last_event == after_event:
                        self._changed.skip(page.parts)
                    for data in self._changed.changes(page.parts):
                        yield f"id: {page.last_event}\ndata: {data.replace(TOKEN_MARK, self._token)}\n\n"
                    shown, rendered_at = page.last_event, time.monotonic()
                    ended = page.ended
                log = await self._log(after_line)
                for message in log.messages:
                    yield message
                after_line = log.last
                if ended and log.ended:
                    yield f"id: {shown}\nevent: ended\ndata: \n\n"
                    return
            except TRANSIENT_ERRORS:
                yield ": database unavailable, retrying\n\n"
                await asyncio.sleep(_POLL_SECONDS)

    async def _rendered(self, least_event: int) -> "_RenderedPage":
        """Return the page with at least the events up to a number, if there are so many."""

        async def render() -> _RenderedPage:
            page = await read_execution_page(
                self._runtime.database, self._execution_id, self._asked, self._runtime.sign
            )
            return await in_plan_thread(_render, page, self._marked)

        key = ("page", *self._key, self._scopes)
        return await self._shared.get(key, render, is_fresh=lambda page: page.last_event >= least_event)

    async def _log(self, after: int) -> "_LogLines":
        """Return the log lines after a number."""

        async def read() -> _LogLines:
            database = self._runtime.database
            page = await job_log_page(database, self._execution_id, None, after=after, limit=_LOG_LINES)
            parts = log_fragments(list(zip(page.numbers, page.lines, strict=True)))
            messages = [f"data: {part.message()}\n\n" for part in parts]
            return _LogLines(messages, page.numbers[-1] if page.numbers else after, page.ended)

        return await self._shared.get(("log", self._execution_id, after), read, is_fresh=lambda _: True)

    async def _wait_for_event(self, after: int) -> bool:
        """Return whether there is an event after `after`, at the latest after a second."""
        follower = self._runtime.event_stream.follow(self._execution_id, after=after)
        try:
            async with asyncio.timeout(_POLL_SECONDS), aclosing(follower) as events:
                async for _ in events:
                    # sleep: events come in groups, and a page needs no more than some changes a second
                    await asyncio.sleep(_GROUP_SECONDS)
                    return True
                return True  # it has ended
        except TimeoutError:
            return False
