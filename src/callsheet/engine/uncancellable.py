"""Work that is not broken off in the middle."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_FOR_AN_EFFECT = 30.0
"""Seconds that a stopped run waits for a once-only step that is on its way."""


async def run_uncancellable(work: Coroutine[Any, Any, T]) -> T:
    """Let work come to its end even when we are cancelled meanwhile: its effect may have been paid for."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task}, timeout=_FOR_AN_EFFECT)
        raise
