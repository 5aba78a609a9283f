"""Time limit of a run that can be paused."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class TimeLimit:
    """Cancels the block after `seconds`, like `asyncio.timeout`, but does not count the time of its pauses.

    async with TimeLimit(600) as limit:
        with limit.paused():
            await transfer()
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._timeout = asyncio.timeout(None)
        self._is_open = False
        self._pauses = 0

    @property
    def expired(self) -> bool:
        """Whether the limit has cancelled the block."""
        return self._timeout.expired()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock in the block. Blocks of concurrent tasks can overlap."""
        self._pauses += 1
        if self._pauses == 1:
            self._stop_clock()
        try:
            yield
        finally:
            self._pauses -= 1
            if self._pauses == 0:
                self._start_clock()

    async def __aenter__(self) -> "TimeLimit":
        await self._timeout.__aenter__()
        self._is_open = True
        self._start_clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        await self._timeout.__aexit__(kind, error, trace)

    def _start_clock(self) -> None:
        if self._is_open and not self.expired:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._left)

    def _stop_clock(self) -> None:
        when = self._timeout.when()
        if self._is_open and not self.expired and when is not None:
            self._left = max(0.0, when - asyncio.get_running_loop().time())
            self._timeout.reschedule(None)
