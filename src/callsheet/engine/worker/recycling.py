"""Recycling: when a worker process makes room for its successor."""

import asyncio
from dataclasses import dataclass

import psutil
import structlog

from callsheet.queue.claim_budget import ClaimBudget

log = structlog.get_logger(__name__)

_INTERVAL = 1.0
"""Seconds between two looks at the memory while no job ends."""


@dataclass(frozen=True, slots=True)
class RecyclingLimits:
    """What a worker process may do before it is replaced. None: no limit."""

    max_jobs: int | None = None
    """Number of jobs that it claims."""
    max_memory: int | None = None
    """Bytes of its resident memory. Its child processes do not count: they end with their jobs."""


class Recycling:
    """Decides when a worker process is to be replaced.

    That is after `max_jobs` claims, or above `max_memory`, but not before the first job: a successor would be as large.
    """

    def __init__(self, limits: RecyclingLimits) -> None:
        self._limits = limits
        self.budget = ClaimBudget(limits.max_jobs)
        """Shared by the lanes of the worker."""
        self._process = psutil.Process()
        self._job_ended = asyncio.Event()

    def job_ended(self) -> None:
        """Look at the memory at once: a job has ended."""
        if self._limits.max_memory is not None:
            self._job_ended.set()

    async def wait(self) -> str:
        """Wait until the worker is to be replaced. Return the reason."""
        used_up = asyncio.create_task(self.budget.used_up.wait())
        try:
            while not used_up.done():
                if (reason := self._memory_reason()) is not None:
                    return reason
                ended = asyncio.create_task(self._job_ended.wait())
                await asyncio.wait({used_up, ended}, timeout=_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                self._job_ended.clear()
            return f"it has claimed {self._limits.max_jobs} jobs"
        finally:
            used_up.cancel()

    def _memory_reason(self) -> str | None:
        limit = self._limits.max_memory
        if limit is None or self.budget.claimed == 0:
            return None
        used = self._process.memory_info().rss
        return f"it uses {used / 1e6:,.0f} MB of memory, more than {limit / 1e6:,.0f} MB" if used > limit else None

    def check_start(self) -> None:
        """Log a warning if the memory is above its limit already before the first job."""
        limit, used = self._limits.max_memory, self._process.memory_info().rss
        if limit is not None and used > limit:
            log.warning(
                "the memory limit is below what a worker needs without jobs: it is replaced after each of them",
                setting="CALLSHEET_WORKER_MAX_MEMORY",
                megabytes=round(limit / 1e6),
                used=round(used / 1e6),
            )
