"""Waits for the object storage: a transfer that fails because of an outage is repeated, not the work of the run."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

import structlog

from callsheet.domain.errors import DiskFull, StorageUnreachable
from callsheet.engine.worker.time_limit import TimeLimit

log = structlog.get_logger(__name__)

T = TypeVar("T")
OnChange = Callable[[str | None, float], Awaitable[None]]
"""Called with the reason and the number of seconds left when a run starts to wait, and with None at the end."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0


class StorageOutage:
    """Repeats the transfers of one run while the storage cannot be used.

    The time limit of the run does not count transfers. They have limits of their own: the storage must respond in time.
    """

    def __init__(self, *, timeout: float, on_change: OnChange, time_limit: TimeLimit | None = None) -> None:
        """`timeout`: seconds of an outage after which its error is raised; 0: at once. `time_limit`: of the run."""
        self._timeout = timeout
        self._time_limit = time_limit
        self._on_change = on_change
        self._waiting = 0
        self._deadline: float | None = None

    async def repeat(self, transfer: Callable[[], Awaitable[T]]) -> T:
        """Run a transfer until it succeeds. Raises its last error after the timeout, and any other error at once."""
        return await self._repeat(transfer, (StorageUnreachable,))

    async def repeat_upload(self, upload: Callable[[], Awaitable[T]]) -> T:
        """Run an upload as `repeat` does, and wait for free space too: the file to store is finished.

        A download does not wait for space, because the files of the waiting run would occupy the disk.
        """
        return await self._repeat(upload, (StorageUnreachable, DiskFull))

    async def _repeat(
        self, transfer: Callable[[], Awaitable[T]], outage: tuple[type[StorageUnreachable] | type[DiskFull], ...]
    ) -> T:
        waiting = False
        pause = _FIRST_PAUSE
        with self._time_limit.paused() if self._time_limit is not None else nullcontext():
            try:
                while True:
                    try:
                        result = await transfer()
                    except outage as error:
                        if (left := self._seconds_left()) <= 0:
                            raise
                        if not waiting:
                            waiting = True
                            await self._start_waiting(error, left)
                        delay = max(pause, error.retry_after or 0.0) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
                    else:
                        self._deadline = None
                        return result
                    await asyncio.sleep(min(delay, left))
                    pause = min(_LONGEST_PAUSE, pause * 2)
            finally:
                if waiting:
                    await self._stop_waiting()

    def _seconds_left(self) -> float:
        """Return the rest of the timeout, which all transfers of the run share until one succeeds."""
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._timeout
        return self._deadline - now

    async def _start_waiting(self, error: StorageUnreachable | DiskFull, seconds: float) -> None:
        self._waiting += 1
        if self._waiting == 1:
            log.warning("waiting for the storage", error=error.message, seconds=seconds)
            await self._on_change(error.message, seconds)

    async def _stop_waiting(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            await self._on_change(None, 0.0)
