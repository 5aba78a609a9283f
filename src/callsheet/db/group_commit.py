"""Group commit: calls that arrive together are written by one transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from callsheet.domain.errors import DatabaseUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

_SLOW_WRITE = 0.02
"""Seconds after which the next group no longer waits for the one that is being written."""
_MAX_WRITERS = 4
"""Groups that are written at the same time, if writes are slow."""


@dataclass(slots=True)
class _Entry(Generic[Item, Result]):
    item: Item
    size: int
    written: "asyncio.Future[Result]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupCommit(Generic[Item, Result]):
    """Writes items in groups. An item is written at once when idle; those that arrive during a write form a group.

    One group is written at a time, because fewer and larger groups cost less. A slow write, such as that of a very
    large item, does not hold up the next groups.

    `write_group` writes a group in one transaction, all or none. It returns the result of each item, in their order; an
    exception as result is raised by the `write` of that item. When it raises DatabaseUnavailable, all items of the
    group fail with it. After any other error the group is written in halves, so that one bad item fails alone.
    """

    def __init__(
        self, write_group: Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]], *, max_size: int
    ) -> None:
        """Write groups of up to `max_size`, the sum of the sizes of their items. A larger item is written alone."""
        self._write_group = write_group
        self._max_size = max_size
        self._pending: deque[_Entry[Item, Result]] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self._slow: set[asyncio.Task[None]] = set()
        """Writers whose current write is slow."""

    async def write(self, item: Item, *, size: int = 1) -> Result:
        """Write an item. Returns after the commit.

        A caller that is cancelled before the write began writes nothing. After that its item is written all the same.
        """
        entry: _Entry[Item, Result] = _Entry(item, size)
        self._pending.append(entry)
        self._start_writer()
        return await entry.written

    def _start_writer(self) -> None:
        if self._pending and len(self._writers) == len(self._slow) < _MAX_WRITERS:
            self._writers.add(asyncio.create_task(self._write_pending(), name="group commit"))

    async def _write_pending(self) -> None:
        writer = asyncio.current_task()
        assert writer is not None  # noqa: S101 - runs as a task of its own
        try:
            while group := self._next_group():
                await self._write_timed(writer, group)
        finally:
            # Not in a callback: an item that arrives before it would start no writer.
            self._writers.discard(writer)

    async def _write_timed(self, writer: asyncio.Task[None], group: list[_Entry[Item, Result]]) -> None:
        timer = asyncio.get_running_loop().call_later(_SLOW_WRITE, self._mark_slow, writer)
        try:
            await self._write(group)
        except asyncio.CancelledError:
            for entry in (*group, *self._pending):
                entry.written.cancel()
            raise
        finally:
            timer.cancel()
            self._slow.discard(writer)

    def _mark_slow(self, writer: asyncio.Task[None]) -> None:
        self._slow.add(writer)
        self._start_writer()

    def _next_group(self) -> list[_Entry[Item, Result]]:
        group: list[_Entry[Item, Result]] = []
        size = 0
        while self._pending and (not group or size + self._pending[0].size <= self._max_size):
            entry = self._pending.popleft()
            if not entry.written.done():  # its caller was cancelled
                group.append(entry)
                size += entry.size
        return group

    async def _write(self, group: list[_Entry[Item, Result]]) -> None:
        try:
            results = await self._write_group([entry.item for entry in group])
        except Exception as error:  # noqa: BLE001 - raised by `write`
            if len(group) > 1 and not isinstance(error, DatabaseUnavailable):
                half = len(group) // 2
                await self._write(group[:half])
                await self._write(group[half:])
                return
            results = [error] * len(group)
        for entry, result in zip(group, results, strict=True):
            if entry.written.done():
                continue
            if isinstance(result, Exception):
                entry.written.set_exception(result)
            else:
                entry.written.set_result(result)
