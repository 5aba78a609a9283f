"""Priorities, paused queues, fleet-wide limits and rates, lanes."""

import asyncio
import time
from datetime import timedelta

import pytest
from claiming import claimer
from plans import job, plan, statuses

from callsheet.db.database import Database
from callsheet.engine.fleet.queues import QueueChange, Rate, change_queue
from callsheet.engine.fleet.worker_lanes import set_lanes
from callsheet.operation_api.contract import operation
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import AnyValue
from callsheet.testing.waiters import until


async def change(engine, **what):
    await change_queue(engine.runtime.database, engine.runtime.catalog, "test", QueueChange(**what))


async def peak_running(engine, execution_id=None):
    """Maximum number of concurrently running jobs, counted from the events."""
    async with engine.runtime.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT type FROM events WHERE job_id IS NOT NULL AND type IN ('job.running', 'job.succeeded') "
            "ORDER BY at, type DESC"
        )
    running = peak = 0
    for row in rows:
        running += 1 if row["type"] == "job.running" else -1
        peak = max(peak, running)
    return peak


async def test_the_higher_priority_runs_first_then_the_older_job(idle_engine):
    execution_id = await idle_engine.submit(
        plan(
            job("low", priority=-5),
            job("first"),
            job("high", priority=5),
            job("second"),
        ),
        priority=0,
    )
    await idle_engine.start_worker({"test": 1})
    await idle_engine.ended(execution_id)

    events = await idle_engine.events(execution_id)
    assert [e.job_id for e in events if e.type == "job.running"] == ["high", "first", "second", "low"]


async def test_a_paused_queue_gives_no_jobs_until_it_is_resumed(engine):
    await change(engine, paused=True)
    execution_id = await engine.submit(plan(job("a")))
    await engine.workers[0]._poll()
    async with engine.runtime.database.connection() as connection:
        _, claims = await claimer(engine.runtime.database, "another")
        assert (await claims.claim("test", 5)).jobs == []
        assert await connection.fetchval("SELECT status FROM execution_jobs") == "queued"

    began = time.monotonic()
    await change(engine, paused=False)

    assert (await engine.ended(execution_id)).status == "succeeded"
    assert time.monotonic() - began < 2  # by a notification, not by the poll


async def test_a_limit_set_while_jobs_are_queued_applies_at_once(engine):
    await change(engine, paused=True)
    execution_id = await engine.submit(plan(*(job(str(n), "sleep", params={"seconds": 0.05}) for n in range(6))))
    began = time.monotonic()

    await change(engine, paused=False, max_running=1)

    assert (await engine.ended(execution_id)).status == "succeeded"
    assert await peak_running(engine) == 1
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_holds_over_several_workers(idle_engine, limit):
    await change(idle_engine, max_running=limit)
    for _ in range(3):
        await idle_engine.start_worker({"test": 4})

    execution = await idle_engine.run(plan(*(job(str(n), "sleep", params={"seconds": 0.01}) for n in range(30))))

    assert set(statuses(execution).values()) == {"succeeded"}
    assert await peak_running(idle_engine) == limit


async def test_a_rate_limit_holds_and_all_jobs_run(engine):
    await change(engine, rate=Rate(5, timedelta(seconds=0.5)))

    execution = await engine.run(plan(*(job(str(n)) for n in range(12))))

    async with engine.runtime.database.connection() as connection:
        starts = [
            row["at"] for row in await connection.fetch("SELECT at FROM events WHERE type = 'job.running' ORDER BY at")
        ]
    assert set(statuses(execution).values()) == {"succeeded"}
    # A burst of 5, then 10 per second.
    assert (starts[-1] - starts[0]).total_seconds() >= 0.6
    assert all((starts[n + 6] - starts[n]).total_seconds() > 0.05 for n in range(len(starts) - 6))


async def test_a_removed_limit_does_not_apply(engine):
    await change(engine, rate=Rate(1, timedelta(hours=1)), max_running=1)
    execution_id = await engine.submit(plan(*(job(str(n)) for n in range(5))))
    await engine.wait(execution_id, "job.succeeded")

    await change(engine, clear_rate=True, clear_max_running=True)

    assert (await engine.ended(execution_id)).status == "succeeded"


async def test_lanes_are_resized_while_jobs_run(engine, tmp_path):
    gate = tmp_path / "gate"
    worker = engine.workers[0]
    await set_lanes(engine.runtime.database, worker.id, {"test": 1})
    await until(lambda: worker._lanes["test"].size == 1)
    execution_id = await engine.submit(plan(*(job(str(n), "block", params={"until": str(gate)}) for n in range(4))))
    await engine.wait(execution_id, "job.running")
    await until(lambda: worker.running == 1)
    await worker._poll()
    assert worker.running == 1

    await set_lanes(engine.runtime.database, worker.id, {"test": 3})
    await until(lambda: worker.running == 3)

    gate.touch()
    assert (await engine.ended(execution_id)).status == "succeeded"
    assert await peak_running(engine) == 3


async def test_16_claimers_claim_10_000_jobs_once_each_within_the_limit(idle_engine):
    database, limit = idle_engine.runtime.database, 50
    await idle_engine.submit(plan(*(job(f"j{n}") for n in range(10_000))))
    await change(idle_engine, max_running=limit)
    running, peak, claimed = 0, 0, []

    async def work(database, number):
        nonlocal running, peak
        _, claims = await claimer(database, f"claimer {number}")
        await claims.refresh_limits(["test"])
        while len(claimed) < 2_000 and (jobs := (await claims.claim("test", 7)).jobs) is not None:
            claimed.extend((job.id, job.epoch) for job in jobs)
            async with database.connection() as connection:
                peak = max(
                    peak, await connection.fetchval("SELECT count(*) FROM execution_jobs WHERE status='running'")
                )
                await connection.execute(
                    "UPDATE execution_jobs SET status = 'succeeded' WHERE id = ANY ($1)", [job.id for job in jobs]
                )

    async with Database(database.address, size=16) as shared:
        await asyncio.gather(*(work(shared, number) for number in range(16)))
        assert peak <= limit
        await change(idle_engine, clear_max_running=True)

        async def take(number):
            _, claims = await claimer(shared, f"claimer {number}")
            while jobs := (await claims.claim("test", 50)).jobs:
                claimed.extend((job.id, job.epoch) for job in jobs)

        await asyncio.gather(*(take(number) for number in range(16)))

    assert len(claimed) == len(set(claimed)) == 10_000
    async with database.connection() as connection:
        numbers = await connection.fetchval(
            "SELECT array_agg(number ORDER BY number) = array_agg(place ORDER BY place) "
            "FROM (SELECT number, row_number() OVER (ORDER BY number) AS place FROM events) AS events"
        )
        started = await connection.fetchval("SELECT count(*) FROM events WHERE type = 'job.running'")
    assert numbers is True
    assert started == 10_000


async def test_queues_and_lanes_may_have_the_names_of_the_replaced_systems(settings):
    @operation("cut", queue="transcode_queue")
    async def cut(job, params: AnyValue) -> AnyValue:
        """Cut."""
        return params

    async with running_engine([cut], settings=settings, lanes={"transcode_queue": 1}) as engine:
        execution = await engine.run(plan(job("a", "cut")), timeout=60)
        queue = await change_queue(
            engine.runtime.database, engine.runtime.catalog, "transcode_queue", QueueChange(paused=True)
        )
        worker = await set_lanes(engine.runtime.database, engine.workers[0].id, {"transcode_queue": 3})

    assert (execution.status, execution.jobs[0].queue) == ("succeeded", "transcode")
    assert (queue.name, queue.paused, worker.lanes) == ("transcode", True, {"transcode": 3})
