"""Waiting for conditions outside the engine's events: files, processes, rows."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], *, timeout: float = 10, what: str | None = None) -> T:
    """Call `condition`, which can be async, every 5 to 50 ms and return its first true value.

        await until(lambda: path.exists())

    Raises AssertionError after `timeout` seconds. Its message names `what`, or the source of the condition.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    pause = 0.005
    while True:
        found = condition()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what or inspect.getsource(condition).strip()}")
        await asyncio.sleep(pause)
        # The work that is waited for needs the CPU, too.
        pause = min(0.05, pause * 1.2)
