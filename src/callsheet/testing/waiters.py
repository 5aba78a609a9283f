"""Waiting for what happens outside the engine's events: files, processes, rows."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], *, timeout: float = 10, what: str | None = None) -> T:
    """Return the first true value of `condition`, which may be async, looking again every few milliseconds.

        await until(lambda: path.exists())

    Raises AssertionError after `timeout` seconds, naming `what` was waited for.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        found = condition()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what or inspect.getsource(condition).strip()}")
        await asyncio.sleep(0.005)
