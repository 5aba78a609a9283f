"""Streams of server-sent events (SSE)."""

import asyncio
from collections.abc import AsyncIterator

SSE_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Headers of streams. X-Accel-Buffering turns off buffering in reverse proxies."""

_PING_SECONDS = 15.0
_RECONNECT = "retry: 3000\n\n"


async def sse_stream(
    messages: AsyncIterator[str], *, closing: asyncio.Event, ping_seconds: float = _PING_SECONDS
) -> AsyncIterator[str]:
    """Yield messages, with a ping after each silence of `ping_seconds`. End with the messages or with the server."""
    yield _RECONNECT
    closed = asyncio.ensure_future(closing.wait())
    pending = asyncio.ensure_future(_next(messages))
    try:
        while not closed.done():
            await asyncio.wait({pending, closed}, timeout=ping_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not pending.done():
                yield ": ping\n\n"
                continue
            message = pending.result()
            if message is None:
                return
            yield message
            pending = asyncio.ensure_future(_next(messages))
    finally:
        for task in (pending, closed):
            task.cancel()
        await asyncio.gather(pending, closed, return_exceptions=True)
        await messages.aclose()  # type: ignore[attr-defined]


async def _next(messages: AsyncIterator[str]) -> str | None:
    return await anext(messages, None)
