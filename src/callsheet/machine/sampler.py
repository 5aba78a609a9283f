"""Measure this machine."""

import asyncio
import os
import platform
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import psutil

from callsheet.domain.clock import shared_now
from callsheet.domain.resources import CpuUse, DiskUse, Resources
from callsheet.machine.daemon_thread import in_daemon_thread
from callsheet.machine.gpus import measure_gpus
from callsheet.machine.memory import measure_memory

_MIN_PERIOD = 1.0
"""Seconds over which the use of the processor is measured at least."""
_TIMEOUT = 30.0
"""Seconds. A driver or a network disk may hang."""


class Sampler:
    """Measures this machine: the processor since the measurement before, everything else now.

    sampler = Sampler({"data": settings.data_dir, "scratch": settings.scratch_dir})
    resources = await sampler.measure()

    `folders` have names; folders on the same file system are measured as one.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders
        self._running = threading.Lock()
        self._started = time.monotonic()
        self._cpu = _cpu_times()

    async def measure(self) -> Resources:
        """Return a measurement; the first one takes a second.

        Raises TimeoutError if the machine does not respond, psutil.Error and OSError.
        """
        await asyncio.sleep(max(0.0, self._started + _MIN_PERIOD - time.monotonic()))
        at = shared_now()
        return await in_daemon_thread(lambda: self._measure(at), timeout=_TIMEOUT)

    def _measure(self, at: datetime) -> Resources:
        if not self._running.acquire(blocking=False):
            raise TimeoutError("the measurement before has not returned")
        try:
            return Resources(
                at=at,
                host=platform.node(),
                cpu=self._measure_cpu(),
                memory=measure_memory(),
                disks=_measure_disks(self._folders),
                gpus=measure_gpus(),
            )
        finally:
            self._running.release()

    def _measure_cpu(self) -> CpuUse:
        before, self._cpu = self._cpu, _cpu_times()
        total, busy = (new - old for new, old in zip(self._cpu, before, strict=True))
        percent = round(min(max(100 * busy / total, 0.0), 100.0), 1) if total > 0 else 0.0
        return CpuUse(percent=percent, count=os.cpu_count() or 1, load=round(os.getloadavg()[0], 2))


def _cpu_times() -> tuple[float, float]:
    """Return the seconds of all cores since the start of the machine, and those in which they worked."""
    times = psutil.cpu_times()
    # Linux counts the time of guests as that of users, too.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total, total - times.idle - getattr(times, "iowait", 0.0)


def _measure_disks(folders: Mapping[str, Path]) -> list[DiskUse]:
    names: dict[int, list[str]] = {}
    places: dict[int, Path] = {}
    for name, folder in folders.items():
        existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        device = existing.stat().st_dev
        names.setdefault(device, []).append(name)
        places.setdefault(device, existing)
    found = []
    for device, place in places.items():
        usage = psutil.disk_usage(str(place))
        found.append(DiskUse(folders=names[device], percent=usage.percent, total=usage.total, free=usage.free))
    return found
