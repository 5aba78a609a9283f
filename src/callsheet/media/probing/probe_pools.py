"""Probe processes by lane, so that large files of one lane do not delay the jobs of another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from callsheet.media.probing.probe_process import ProbeProcess

_MAX_PROCESSES = 4
_lane: ContextVar[str] = ContextVar("callsheet_probe_lane", default="")


class ProbePool:
    """Up to `size` probe processes. They start as needed."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.processes: list[ProbeProcess] = []

    async def read(self, path: Path, *, to_end: bool = False) -> dict[str, Any]:
        """Return the facts about a file from the process with the fewest requests; see `ProbeProcess.read`."""
        least_busy = min(self.processes, key=lambda process: process.pending, default=None)
        if least_busy is None or (least_busy.pending and len(self.processes) < self._size):
            least_busy = ProbeProcess()
            self.processes.append(least_busy)
        return await least_busy.read(path, to_end=to_end)

    def close(self) -> None:
        """End the processes. The next request starts new ones."""
        for process in self.processes:
            process.close()


_pools: dict[str, ProbePool] = {}


def current_pool() -> ProbePool:
    """Return the pool of the lane whose job calls this; code outside of jobs has a pool of its own."""
    lane = _lane.get()
    if lane not in _pools:
        _pools[lane] = ProbePool(_pool_size())
    return _pools[lane]


@contextmanager
def probes_of_lane(lane: str) -> Iterator[None]:
    """Probe files in the processes of this lane, in this block and the tasks that it starts."""
    token = _lane.set(lane)
    try:
        yield
    finally:
        _lane.reset(token)


def _pool_size() -> int:
    # Probing is CPU work: one lane may use half of the cores.
    return min(_MAX_PROCESSES, max(1, (os.cpu_count() or 1) // 2))
