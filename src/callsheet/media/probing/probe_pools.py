"""Probe processes by lane, so that large files of one lane do not delay the jobs of another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from callsheet.media.ffmpeg.sandbox import Sandbox
from callsheet.media.probing.probe_process import ProbeProcess

_MAX_PROCESSES = 4
_lane: ContextVar[str] = ContextVar("callsheet_probe_lane", default="")


class ProbePool:
    """Up to `size` probe processes. They start as needed. `sandbox` is the setting FFMPEG_SANDBOX."""

    def __init__(self, size: int, sandbox: Sandbox = "auto") -> None:
        self._size = size
        self._sandbox = sandbox
        self.processes: list[ProbeProcess] = []

    async def read(self, path: Path, *, to_end: bool = False) -> dict[str, Any]:
        """Return the facts about a file from the process with the fewest requests; see `ProbeProcess.read`."""
        least_busy = min(self.processes, key=lambda process: process.pending, default=None)
        if least_busy is None or (least_busy.pending and len(self.processes) < self._size):
            least_busy = ProbeProcess(self._sandbox)
            self.processes.append(least_busy)
        return await least_busy.read(path, to_end=to_end)

    def close(self) -> None:
        """End the processes. The next request starts new ones."""
        for process in self.processes:
            process.close()


_pools: dict[tuple[str, Sandbox], ProbePool] = {}
_sandbox: Sandbox = "auto"


def use_sandbox(sandbox: Sandbox) -> None:
    """Start the probe processes of this process from now on with this value of the setting FFMPEG_SANDBOX."""
    global _sandbox
    _sandbox = sandbox


def current_pool() -> ProbePool:
    """Return the pool of the lane whose job calls this; code outside of jobs has a pool of its own."""
    key = (_lane.get(), _sandbox)
    if key not in _pools:
        _pools[key] = ProbePool(_pool_size(), _sandbox)
    return _pools[key]


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
