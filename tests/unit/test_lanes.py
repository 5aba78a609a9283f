"""When a lane claims."""

import asyncio
import time
from types import SimpleNamespace
from uuid import uuid4

from callsheet.queue.claim import Claim
from callsheet.queue.lanes import Lane


class FakeClaimer:
    """Returns batches of so many jobs, and notes when they were claimed."""

    def __init__(self, *batches):
        self._batches = iter(batches)
        self.claimed_at = []
        self.emptied = asyncio.Event()

    async def claim(self, _queue, _free, *, suspects=False):
        self.claimed_at.append(time.monotonic())
        jobs = next(self._batches, 0)
        if not jobs:
            self.emptied.set()
        return Claim([SimpleNamespace(id=uuid4(), execution_id=uuid4()) for _ in range(jobs)])


async def claim_times(*batches):
    claimer = FakeClaimer(*batches)

    async def run_job(_job):
        lane.wake()  # more jobs have arrived

    lane = Lane("q", 100, claimer, run_job, on_started=lambda _: None)
    running = asyncio.create_task(lane.run())
    lane.wake()
    await asyncio.wait_for(claimer.emptied.wait(), 30)
    lane.close()
    await running
    return claimer.claimed_at


async def test_a_lane_pauses_after_a_claim_of_several_jobs_so_that_one_claim_takes_those_that_arrive():
    first, second, *_ = await claim_times(2, 2)

    assert second - first >= 0.009


async def test_a_lane_does_not_pause_while_half_a_lane_is_ready(monkeypatch):
    monkeypatch.setattr("callsheet.queue.lanes._PAUSE", 3600)

    assert len(await claim_times(50, 50)) == 3


async def test_a_lane_does_not_pause_after_a_claim_of_one_job(monkeypatch):
    monkeypatch.setattr("callsheet.queue.lanes._PAUSE", 3600)

    assert len(await claim_times(1, 1, 1)) == 4
