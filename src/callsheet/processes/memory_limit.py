"""How much memory a child uses, and the end of one that uses too much.

The limits that the system offers do not fit: address space (RLIMIT_AS, RLIMIT_DATA) is reserved by threads and GPU
drivers many times over what they use, so a limit that lets honest work pass stops nothing, and resident memory
(RLIMIT_RSS) has not been enforced for twenty years. So what is really used is looked at, several times a second.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from callsheet.domain.errors import FFmpegFailed

_LOOK_EVERY = 0.2
"""Seconds; the fastest decoders fill a few hundred megabytes meanwhile."""


class MemoryLimit:
    """While the block runs, the process `pid` is looked at; `kill` is called once it uses more than `most` bytes.

    Leaving the block then raises FFmpegFailed, in place of whatever its sudden end led to.
    """

    def __init__(self, pid: int, most: int | None, *, kill: Callable[[], None]) -> None:
        self._pid = pid
        self._most = most
        self._kill = kill
        self._used = 0
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._most is not None:
            self._watching = asyncio.ensure_future(self._watch(self._most))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if self._used and (error is None or isinstance(error, Exception)):
            raise FFmpegFailed(
                f"the work needed more than the {_gigabytes(self._most or 0)} of memory that it may use. "
                "Use a smaller picture, or raise FFMPEG_MEMORY"
            ) from None

    async def _watch(self, most: int) -> None:
        try:
            process = psutil.Process(self._pid)
            while (used := process.memory_info().rss) <= most:  # noqa: ASYNC110 - memory sets no event
                await asyncio.sleep(_LOOK_EVERY)
        except psutil.Error:  # it has ended
            return
        self._used = used
        self._kill()


def usable_memory() -> int:
    """Return how many bytes of memory this process may use, by the machine and by its control group."""
    whole = psutil.virtual_memory().total
    try:
        return min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit
        return whole


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
