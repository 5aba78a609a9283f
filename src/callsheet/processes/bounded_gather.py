"""Run awaitables concurrently, with a limit."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def gather_limited(
    functions: Iterable[Callable[[], Awaitable[T]]], *, limit: int, on_done: Callable[[], None] | None = None
) -> list[T]:
    """Call async functions, at most `limit` at once, and return their results in order.

    If one fails, the others are cancelled and its error is raised. `on_done` is called after each.
    """
    slots = asyncio.Semaphore(limit)

    async def run_in_slot(function: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            result = await function()
        if on_done is not None:
            on_done()
        return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_in_slot(function)) for function in functions]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
