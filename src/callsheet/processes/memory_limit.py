"""Limit the memory of a child process, by polling its resident memory.

The limits of the operating system do not fit. Threads and GPU drivers reserve many times more address space
(RLIMIT_AS, RLIMIT_DATA) than they use, so that a limit that normal work passes stops nothing. The limit of
resident memory (RLIMIT_RSS) has not been enforced for twenty years. So resident memory is polled, several times per
second.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from callsheet.domain.errors import FFmpegFailed

_POLL_INTERVAL = 0.2
"""Seconds. The fastest decoders allocate a few hundred megabytes in this time."""


class MemoryLimit:
    """Context manager that calls `kill` once the process `pid` uses more than `max_bytes`; None: no limit.

    Leaving the block then raises FFmpegFailed, in place of the error that the kill caused.
    """

    def __init__(self, pid: int, max_bytes: int | None, *, kill: Callable[[], None]) -> None:
        self._pid = pid
        self._max_bytes = max_bytes
        self._kill = kill
        self._exceeded = False
        self._polling: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._max_bytes is not None:
            self._polling = asyncio.ensure_future(self._poll(self._max_bytes))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._polling is not None:
            self._polling.cancel()
        if self._exceeded and (error is None or isinstance(error, Exception)):
            raise FFmpegFailed(
                f"the process exceeded its memory limit of {_gigabytes(self._max_bytes or 0)}. "
                "Use smaller images or videos, or raise FFMPEG_MEMORY"
            ) from None

    async def _poll(self, max_bytes: int) -> None:
        try:
            process = psutil.Process(self._pid)
            while process.memory_info().rss <= max_bytes:  # noqa: ASYNC110 - memory sets no event
                await asyncio.sleep(_POLL_INTERVAL)
        except psutil.Error:  # the process has ended
            return
        self._exceeded = True
        self._kill()


def usable_memory() -> int:
    """Return the bytes of memory this process may use, from the machine and its cgroup."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no cgroup, or no limit
        return total


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
