"""Ends event streams whose caller loses access while they are open."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CHECK_SECONDS = 2.0
"""Time between two checks of an open stream."""
_EVENT_STREAM = "text/event-stream"


async def run_while_allowed(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, has_access: Callable[[], Awaitable[bool]]
) -> None:
    """Pass a request on. If the response is an event stream, end it within seconds when `has_access` returns False."""
    request = asyncio.current_task()
    assert request is not None  # noqa: S101 - it runs in a task
    watching: asyncio.Task[None] | None = None
    has_ended = False

    async def watch() -> None:
        nonlocal has_ended
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if not await has_access():
                break
        has_ended = True
        request.cancel()

    async def send_and_watch(message: Message) -> None:
        nonlocal watching
        await send(message)
        if message["type"] == "http.response.start":
            media_type = Headers(raw=message["headers"]).get("content-type", "")
            if media_type.startswith(_EVENT_STREAM):
                watching = asyncio.create_task(watch(), name="access of an event stream")

    try:
        await app(scope, receive, send_and_watch)
    except asyncio.CancelledError:
        if not has_ended or request.uncancel() > 0:
            raise
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
