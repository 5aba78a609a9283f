"""Memory of this machine, or of the container of this process."""

from pathlib import Path

import psutil

from callsheet.domain.resources import MemoryUse

_CGROUP = Path("/sys/fs/cgroup")


def measure_memory(cgroup: Path = _CGROUP) -> MemoryUse:
    """Return the memory, with that of this process and its child processes."""
    memory = psutil.virtual_memory()
    total, available = memory.total, memory.available
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is not None and used is not None and limit < total:
        # Cached files are released when memory is needed.
        free = limit - used + _cached(cgroup / "memory.stat")
        total, available = limit, max(0, min(available, free))
    return MemoryUse(
        percent=round(100 * (total - available) / total, 1), total=total, available=available, worker=_own_memory()
    )


def _own_memory() -> int:
    own = psutil.Process()
    return sum(_resident(process) for process in [own, *own.children(recursive=True)])


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it has ended meanwhile
        return 0


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no cgroup, or no limit
        return None


def _cached(path: Path) -> int:
    try:
        values = dict(line.split() for line in path.read_text().splitlines())
        return int(values.get("inactive_file", 0))
    except (OSError, ValueError):
        return 0
