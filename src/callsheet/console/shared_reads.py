"""Reads that many open pages share: what several ask for at the same time is read once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")

KEPT_SECONDS = 0.5
"""How long a result is kept by default."""


class SharedReads:
    """Runs a read once for all that ask for the same at a time, and keeps its result for a moment.

        page = await shared.get(execution_id, read_page, is_fresh=lambda page: page.last_event >= 42)

    One that gives up does not stop the read of the others.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}
        self._kept: dict[Hashable, tuple[float, Any]] = {}

    async def get(
        self,
        key: Hashable,
        read: Callable[[], Awaitable[T]],
        *,
        is_fresh: Callable[[T], bool],
        keep: float = KEPT_SECONDS,
    ) -> T:
        """Return what `read` returns now, or what it has returned for another one a moment ago, if that is fresh.

        `keep` is the time for which a result is kept, in seconds. Raises what `read` raises.
        """
        if key in self._kept:
            kept_until, kept = self._kept[key]
            if time.monotonic() < kept_until and is_fresh(kept):
                return cast(T, kept)
        if key in self._running:
            joined: T = await asyncio.shield(self._running[key])
            if is_fresh(joined):
                return joined
        if key not in self._running:
            self._start(key, read, keep)
        return cast(T, await asyncio.shield(self._running[key]))

    def _start(self, key: Hashable, read: Callable[[], Awaitable[T]], keep: float) -> None:
        async def run() -> T:
            try:
                found = await read()
                self._keep(key, found, keep)
                return found
            finally:
                del self._running[key]

        self._running[key] = task = asyncio.ensure_future(run())
        # If all have given up, no page takes its error.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _keep(self, key: Hashable, value: Any, seconds: float) -> None:
        entry = (time.monotonic() + seconds, value)
        self._kept[key] = entry

        def forget() -> None:
            if self._kept.get(key) is entry:
                del self._kept[key]

        asyncio.get_running_loop().call_later(seconds, forget)
