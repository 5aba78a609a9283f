"""How many jobs the lanes of a worker process claim together."""

import asyncio
from types import SimpleNamespace
from uuid import uuid4

from callsheet.queue.claim import Claim
from callsheet.queue.claim_budget import ClaimBudget
from callsheet.queue.lanes import Lane


def test_what_a_claim_did_not_find_is_left_for_others():
    budget = ClaimBudget(5)

    assert (budget.take(4), budget.take(4)) == (4, 1)
    budget.give_back(4, claimed=1)
    assert not budget.used_up.is_set()
    assert budget.take(9) == 3
    budget.give_back(1, claimed=1)
    budget.give_back(3, claimed=3)

    assert budget.used_up.is_set()
    assert (budget.claimed, budget.take(1)) == (5, 0)


def test_without_a_limit_it_only_counts():
    budget = ClaimBudget()

    assert budget.take(1_000) == 1_000
    budget.give_back(1_000, claimed=7)

    assert (budget.claimed, budget.used_up.is_set()) == (7, False)


class FullQueue:
    """Returns as many jobs as are wanted."""

    async def claim(self, _queue, free, *, suspects=False):
        await asyncio.sleep(0)
        return Claim([SimpleNamespace(id=uuid4(), execution_id=uuid4()) for _ in range(free)])


async def test_lanes_claim_exactly_as_many_jobs_as_their_budget_has():
    budget, runs = ClaimBudget(10), []

    async def run_job(job):
        runs.append(job)

    lanes = [Lane(name, 4, FullQueue(), run_job, on_started=lambda _: None, budget=budget) for name in "abc"]
    running = [asyncio.create_task(lane.run()) for lane in lanes]
    for lane in lanes:
        lane.wake()
    await asyncio.wait_for(budget.used_up.wait(), 30)
    for lane in lanes:
        lane.close()
        await lane.wait_drained()
    await asyncio.gather(*running)

    assert len(runs) == 10
    assert not await lanes[0].claim_suspect()


async def test_a_lane_leaves_the_slots_free_that_an_earlier_process_uses():
    used, runs = [3], []
    ended = asyncio.Event()

    async def run_job(job):
        runs.append(job)
        await ended.wait()

    lane = Lane("q", 4, FullQueue(), run_job, on_started=lambda _: None, in_use_elsewhere=lambda: used[0])
    running = asyncio.create_task(lane.run())
    lane.wake()
    async with asyncio.timeout(30):
        while not runs:  # noqa: ASYNC110 - the claimer is a fake without events
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)  # sleep: no other job may start meanwhile
        assert len(runs) == 1
        used[0] = 0
        lane.wake()
        while len(runs) < 4:  # noqa: ASYNC110 - the claimer is a fake without events
            await asyncio.sleep(0)
    lane.close()
    ended.set()
    await lane.wait_drained()
    await running

    assert len(runs) == 4
