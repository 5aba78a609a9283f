"""A worker's share of one queue."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import structlog

from callsheet.queue.claim import ClaimedJob, Claimer

log = structlog.get_logger(__name__)

RunJob = Callable[[ClaimedJob], Coroutine[Any, Any, None]]
Began = Callable[[set[UUID]], None]
"""Told the executions whose jobs were just started."""


class Lane:
    """Keeps up to `size` jobs of one queue running at once."""

    def __init__(self, queue: str, size: int, claimer: Claimer, run_job: RunJob, *, began: Began) -> None:
        """Run the jobs that `claimer` gives with `run_job`; `began` is told of each batch."""
        self.queue = queue
        self.size = size
        self._claimer = claimer
        self._run_job = run_job
        self._began = began
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._backlog = True
        self._open = True

    @property
    def running(self) -> int:
        """How many jobs run in this lane now."""
        return len(self._tasks)

    def wake(self) -> None:
        """Say that there may be work."""
        self._backlog = True
        self._wake.set()

    def resize(self, size: int) -> None:
        """Change how many jobs run at once; those that run already go on."""
        self.size = size
        self.wake()

    def close(self) -> None:
        """Take no more jobs."""
        self._open = False
        self._wake.set()

    async def run(self) -> None:
        """Claim and start jobs until closed."""
        while self._open:
            await self._wake.wait()
            self._wake.clear()
            await self._fill()

    async def claim_suspect(self) -> bool:
        """Start one suspect, if a seat is free; tell whether there was one."""
        if not self._open or len(self._tasks) >= self.size:
            return False
        claim = await self._claimer.claim(self.queue, 1, suspects=True)
        self._start(claim.jobs)
        return bool(claim.jobs)

    async def drained(self) -> None:
        """Return when no job runs any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _fill(self) -> None:
        while self._open and self._backlog and (free := self.size - len(self._tasks)) > 0:
            self._backlog = False
            # Half a lane at a time: one half runs while the other is being claimed or recorded.
            wanted = min(free, (self.size + 1) // 2)
            claim = await self._claimer.claim(self.queue, wanted)
            self._start(claim.jobs)
            if len(claim.jobs) == wanted:
                self._backlog = True
            if claim.retry_after is not None:
                asyncio.get_running_loop().call_later(claim.retry_after, self.wake)

    def cancel(self) -> None:
        """Break off every job that runs; nothing is recorded."""
        for task in self._tasks:
            task.cancel()

    def _start(self, jobs: list[ClaimedJob]) -> None:
        for job in jobs:
            task = asyncio.create_task(self._run_job(job), name=f"job {job.id}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        if jobs:
            self._began({job.execution_id for job in jobs})

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._backlog:
            self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job's bookkeeping failed; the job will be rescued", exc_info=error)
