"""When a worker process is to be replaced."""

import asyncio

import pytest
from structlog.testing import capture_logs

from callsheet.engine.worker.recycling import Recycling, RecyclingLimits


async def is_due(recycling, seconds=0.2):
    waiting = asyncio.create_task(recycling.wait())
    done, _ = await asyncio.wait({waiting}, timeout=seconds)
    waiting.cancel()
    return waiting.result() if done else None


def claim(recycling, jobs):
    recycling.budget.give_back(recycling.budget.take(jobs), claimed=jobs)


async def test_without_limits_a_process_is_never_replaced():
    recycling = Recycling(RecyclingLimits())
    claim(recycling, 1_000)

    assert await is_due(recycling) is None


async def test_a_process_is_replaced_after_its_last_job_was_claimed():
    recycling = Recycling(RecyclingLimits(max_jobs=3))
    claim(recycling, 2)
    assert await is_due(recycling) is None

    claim(recycling, 1)

    assert await is_due(recycling, 30) == "it has claimed 3 jobs"


async def test_a_process_that_is_too_large_is_replaced_after_a_job_but_not_before_the_first_one():
    recycling = Recycling(RecyclingLimits(max_memory=1_000_000))
    assert await is_due(recycling) is None
    claim(recycling, 1)

    reason = await is_due(recycling, 30)

    assert reason.endswith("MB of memory, more than 1 MB")


async def test_the_end_of_a_job_makes_it_look_at_the_memory_at_once(monkeypatch):
    monkeypatch.setattr("callsheet.engine.worker.recycling._INTERVAL", 3600)
    recycling = Recycling(RecyclingLimits(max_memory=1_000_000))
    waiting = asyncio.create_task(recycling.wait())
    await asyncio.sleep(0)
    claim(recycling, 1)

    recycling.job_ended()

    assert "more than 1 MB" in await asyncio.wait_for(waiting, 30)


@pytest.mark.parametrize(("limit", "warnings"), [(1_000_000, 1), (10**15, 0), (None, 0)])
def test_a_limit_below_what_a_worker_needs_without_jobs_is_reported(limit, warnings):
    with capture_logs() as logs:
        Recycling(RecyclingLimits(max_memory=limit)).check_start()

    assert len(logs) == warnings
