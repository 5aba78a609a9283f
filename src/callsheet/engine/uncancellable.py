"""Shield work with an external side effect from cancellation."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_MAX_WAIT = 30.0
"""Seconds that a cancelled run waits for its side effect to complete."""


async def run_uncancellable(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to completion even if the caller is cancelled meanwhile, because its effect may already be paid for.

    Then raises CancelledError once the work is done, or after 30 s.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task}, timeout=_MAX_WAIT)
        raise
