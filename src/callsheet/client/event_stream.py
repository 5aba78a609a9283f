"""Follows the events of an execution over server-sent events, also over lost connections."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson

from callsheet.client.errors import WaitTimeout, is_temporary
from callsheet.client.http import HttpApi
from callsheet.domain.errors import CallsheetError
from callsheet.domain.event_types import EventType
from callsheet.domain.events import Event, read_event
from callsheet.http_clients import describe_error

_ENDED = {"succeeded", "failed", "cancelled"}
_RECONNECT_TIMEOUT = 60.0
"""Seconds of failed reconnects after which the server counts as unreachable."""
_RECONNECT_DELAY = 0.5
_SILENCE = 45.0
"""Seconds without data after which a stream is cut; the server sends a ping every 15 seconds."""
_MIN_TIMEOUT = 0.1
_TYPES = frozenset(EventType)


async def follow_events(
    api: HttpApi, execution_id: str, *, after: int, timeout: float | None, on_retry: Callable[[str], None]
) -> AsyncGenerator[Event, None]:
    """Yield the events of an execution with a greater number than `after`, each once and in order, until its end.

    A lost connection is resumed after the last event; `on_retry` gets a message then. Raises WaitTimeout after
    `timeout` seconds, and Unreachable if the server does not respond for a minute.
    """
    clock = asyncio.get_running_loop().time
    deadline = None if timeout is None else clock() + timeout
    disconnected_since: float | None = None
    while True:
        try:
            async with aclosing(_connection(api, execution_id, after, deadline)) as events:
                async for event in events:
                    disconnected_since = None
                    if event["number"] <= after:
                        continue
                    after = event["number"]
                    if event["type"] in _TYPES:  # A newer server can have more.
                        yield read_event(event)
            status = await api.request("GET", f"/api/executions/{execution_id}")
            if status["status"] in _ENDED and status["lastEvent"] <= after:
                return
        except CallsheetError as error:
            if not is_temporary(error):
                raise
            if disconnected_since is None:
                disconnected_since = clock()
                reason = describe_error(error.__cause__ or error)
                on_retry(f"Lost the connection to {api.url} ({reason}); reconnecting …")
            if clock() - disconnected_since > _RECONNECT_TIMEOUT:
                raise
        _check_deadline(deadline, execution_id)
        await asyncio.sleep(_RECONNECT_DELAY)


async def _connection(
    api: HttpApi, execution_id: str, after: int, deadline: float | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the events of one connection."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    _check_deadline(deadline, execution_id)
    left = math.inf if deadline is None else deadline - asyncio.get_running_loop().time()
    path = f"/api/executions/{execution_id}/events"
    async with api.stream(path, headers=headers, timeout=max(_MIN_TIMEOUT, min(_SILENCE, left))) as response:
        lines = _lines(response.aiter_lines(), deadline)
        async with aclosing(lines), aclosing(parse_sse(lines)) as events:
            async for event in events:
                yield event
                _check_deadline(deadline, execution_id)
        _check_deadline(deadline, execution_id)


async def _lines(lines: AsyncIterator[str], deadline: float | None) -> AsyncGenerator[str, None]:
    """Yield lines until the stream ends or the deadline is reached."""
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                line = await anext(lines, None)
        except TimeoutError:
            return
        if line is None:
            return
        yield line


def _check_deadline(deadline: float | None, execution_id: str) -> None:
    if deadline is not None and asyncio.get_running_loop().time() >= deadline:
        raise WaitTimeout(f"The time to wait is over; the execution continues: callsheet watch {execution_id}")


async def parse_sse(lines: AsyncIterator[str]) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the data of the messages in the lines of an SSE stream. Comments and incomplete messages are skipped."""
    fields: dict[str, str] = {}
    async for line in lines:
        if not line:
            if "data" in fields and "id" in fields:
                yield orjson.loads(fields["data"])
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
