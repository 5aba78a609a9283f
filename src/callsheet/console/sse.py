"""Sending server-sent events (SSE) for as long as somebody listens and the server stays."""

import asyncio
from collections.abc import AsyncIterator

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second keeps reverse proxies from holding messages back."""

_PING_EVERY = 15.0
_RECONNECT = "retry: 3000\n\n"


async def stream(
    messages: AsyncIterator[str], *, closing: asyncio.Event, ping_every: float = _PING_EVERY
) -> AsyncIterator[str]:
    """Yield messages as they come, with a comment now and then; end when they end or the server closes."""
    yield _RECONNECT
    closed = asyncio.ensure_future(closing.wait())
    coming = asyncio.ensure_future(_next(messages))
    try:
        while not closed.done():
            await asyncio.wait({coming, closed}, timeout=ping_every, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                yield ": ping\n\n"
                continue
            message = coming.result()
            if message is None:
                return
            yield message
            coming = asyncio.ensure_future(_next(messages))
    finally:
        for task in (coming, closed):
            task.cancel()
        await asyncio.gather(coming, closed, return_exceptions=True)
        await messages.aclose()  # type: ignore[attr-defined]


async def _next(messages: AsyncIterator[str]) -> str | None:
    return await anext(messages, None)
