"""Works done side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def gather_limited(
    works: Iterable[Callable[[], Awaitable[T]]], *, limit: int, on_done: Callable[[], None] | None = None
) -> list[T]:
    """Do works, so many at once, and return what they return; when one fails, end the others and raise its error.

    `on_done` is called after each.
    """
    slots = asyncio.Semaphore(limit)

    async def seated(work: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            result = await work()
        if on_done is not None:
            on_done()
        return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(seated(work)) for work in works]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
