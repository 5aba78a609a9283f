"""Lane: a worker's share of one queue."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from callsheet.metrics import catalog
from callsheet.metrics.changes import count
from callsheet.queue.claim import Claim, ClaimedJob, Claimer
from callsheet.queue.claim_budget import ClaimBudget

log = structlog.get_logger(__name__)

_RETRY_DELAY = 2.0
"""Seconds until the next claim after an error of the database."""

_BUDGET_DELAY = 0.05
"""Seconds until the next look at the budget, while the claims of other lanes may leave some of it."""

RunJob = Callable[[ClaimedJob], Coroutine[Any, Any, None]]
_PAUSE = 0.01
"""Seconds between two claims while several jobs arrive at a time: one claim of many costs less than many claims."""

OnStarted = Callable[[set[UUID]], None]
"""Called with the ids of the executions whose jobs were just started."""


class Lane:
    """Runs up to `size` jobs of one queue concurrently. `size` is its number of slots."""

    def __init__(
        self,
        queue: str,
        size: int,
        claimer: Claimer,
        run_job: RunJob,
        *,
        on_started: OnStarted,
        limit: Callable[[], int] | None = None,
        in_use_elsewhere: Callable[[], int] = lambda: 0,
        budget: ClaimBudget | None = None,
    ) -> None:
        """Run the jobs of `claimer` with `run_job`. `on_started` is called for each claimed batch.

        `limit` returns how many jobs can use more than a slot of this lane now. Others stay in the queue, where they
        keep their order and hold nothing. `in_use_elsewhere` returns how many of the slots are not free because an
        earlier process of this worker uses them. Call `wake` when one of them changes. `budget` limits the claims of
        all lanes of a worker.
        """
        self.queue = queue
        self.size = size
        self._claimer = claimer
        self._run_job = run_job
        self._on_started = on_started
        self._limit = limit
        self._in_use_elsewhere = in_use_elsewhere
        self._budget = budget or ClaimBudget()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._backlog = True
        """Whether the queue may contain ready jobs."""
        self._open = True

    @property
    def running(self) -> int:
        """Number of running jobs."""
        return len(self._tasks)

    def wake(self) -> None:
        """Signal that the queue may contain ready jobs."""
        self._backlog = True
        self._wake.set()

    def resize(self, size: int) -> None:
        """Change the number of slots. Running jobs continue."""
        self.size = size
        self.wake()

    def close(self) -> None:
        """Stop claiming jobs."""
        self._open = False
        self._wake.set()

    async def run(self) -> None:
        """Claim and start jobs until closed."""
        while self._open:
            await self._wake.wait()
            self._wake.clear()
            await self._fill()

    async def claim_suspect(self) -> bool:
        """Claim and start one suspect if a slot is free. Return whether one was started."""
        if not self._open or len(self._tasks) + self._in_use_elsewhere() >= self.size or not self._budget.take(1):
            return False
        claim = await self._claim(1, suspects=True)
        self._start(claim.jobs)
        return bool(claim.jobs)

    async def _claim(self, taken: int, *, suspects: bool = False) -> Claim:
        """Claim up to as many jobs as were taken from the budget."""
        claim = Claim([])
        try:
            claim = await self._claimer.claim(self.queue, taken, suspects=suspects)
        finally:
            self._budget.give_back(taken, claimed=len(claim.jobs))
        return claim

    async def wait_drained(self) -> None:
        """Wait until no job is running."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _fill(self) -> None:
        """Claim jobs for the free slots while there is a backlog."""
        while self._open and self._backlog and (free := self._free_slots()) > 0:
            # Reset before the claim: a wake-up during the claim may announce a job that the claim did not see.
            self._backlog = False
            # Half a lane at a time, so that one half runs while the other one is claimed or recorded.
            wanted = self._budget.take(min(free, (self.size + 1) // 2))
            if wanted == 0:
                self._backlog = True
                if not self._budget.used_up.is_set():
                    asyncio.get_running_loop().call_later(_BUDGET_DELAY, self.wake)
                return
            try:
                claim = await self._claim(wanted)
            except asyncpg.PostgresError as error:
                # Not an outage, which the claim waits for. The lane must survive it, with the jobs that run here.
                log.error("could not claim jobs, will retry", queue=self.queue, exc_info=error)
                asyncio.get_running_loop().call_later(_RETRY_DELAY, self.wake)
                return
            count(catalog.CLAIMS, self.queue, "jobs" if claim.jobs else "none")
            self._start(claim.jobs)
            if len(claim.jobs) == wanted:
                self._backlog = True
            if claim.retry_after is not None:
                asyncio.get_running_loop().call_later(claim.retry_after, self.wake)
            if 1 < len(claim.jobs) < wanted:
                await asyncio.sleep(_PAUSE)

    def _free_slots(self) -> int:
        size = self.size if self._limit is None else min(self.size, self._limit())
        return size - len(self._tasks) - self._in_use_elsewhere()

    def cancel(self) -> None:
        """Cancel all running jobs without recording an outcome."""
        for task in self._tasks:
            task.cancel()

    def _start(self, jobs: list[ClaimedJob]) -> None:
        for job in jobs:
            task = asyncio.create_task(self._run_job(job), name=f"job {job.id}")
            self._tasks.add(task)
            task.add_done_callback(self._job_done)
        if jobs:
            self._on_started({job.execution_id for job in jobs})

    def _job_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._backlog:
            self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("could not record the outcome of a job; it will be rescued", exc_info=error)
