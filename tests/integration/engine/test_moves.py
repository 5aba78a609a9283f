"""Moves of jobs by people, in each status, beside claims, and with everything that makes a job ready."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from plans import job, plan

from callsheet.access.keys import ApiKeyRequest, create_key
from callsheet.domain.callers import KeyLimits
from callsheet.domain.errors import InvalidState, NotFound, ProblemList
from callsheet.domain.ids import new_id
from callsheet.domain.moves import EFFECTS, MOVES, Move, moves_from
from callsheet.domain.plan_validation import read_submission
from callsheet.domain.scopes import Scope
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.moves import (
    change_queue_of_job,
    hold_job,
    prioritize_job,
    release_job,
    run_job_next,
    start_job_later,
)
from callsheet.engine.jobs.owners import Owner
from callsheet.engine.jobs.places import give_places
from callsheet.engine.jobs.retry import retry_execution
from callsheet.engine.jobs.submit import submit
from callsheet.engine.reads.queues import list_queues, next_jobs
from callsheet.engine.worker.scheduler import Scheduler


def later(**more):
    return datetime.now(UTC) + timedelta(**(more or {"hours": 2}))


async def id_of(engine, execution_id, name="a"):
    return (await engine.job(execution_id, name)).id


async def submitted(engine, *jobs, **around):
    """Submit a plan; return the id of its execution and of its first job."""
    execution_id = await engine.submit(plan(*(jobs or [job("a")])), **around)
    execution = await engine.execution(execution_id)
    return execution_id, execution.jobs[0].id


async def order(engine):
    return [each.id for each in await next_jobs(engine.runtime.database, "test", limit=50)]


MOVE_CALLS = {
    Move.RUN_NEXT: lambda engine, id: run_job_next(engine.runtime.database, id),
    Move.HOLD: lambda engine, id: hold_job(engine.runtime.database, id),
    Move.RELEASE: lambda engine, id: release_job(engine.runtime.database, id),
    Move.CHANGE_QUEUE: lambda engine, id: change_queue_of_job(
        engine.runtime.database, engine.runtime.catalog, id, "test"
    ),
    Move.PRIORITIZE: lambda engine, id: prioritize_job(engine.runtime.database, id, 7),
    Move.START_LATER: lambda engine, id: start_job_later(engine.runtime.database, id, later()),
}


def test_every_move_has_statuses_and_an_effect():
    assert set(MOVES) == set(EFFECTS) == set(Move) == set(MOVE_CALLS)


@pytest.mark.parametrize("move", list(Move))
@pytest.mark.parametrize("status", list(JobStatus))
async def test_each_move_is_possible_exactly_in_its_statuses(idle_engine, move, status):
    execution_id, job_id = await submitted(idle_engine)
    async with idle_engine.runtime.database.connection() as connection:
        await connection.execute(
            "UPDATE execution_jobs SET status = $2, scheduled_at = now() + interval '1 hour', "
            "pending_dependencies = CASE WHEN $2 = 'pending' THEN 1 ELSE 0 END WHERE id = $1",
            job_id,
            status,
        )
        before = await connection.fetchrow("SELECT * FROM execution_jobs WHERE id = $1", job_id)

    offered = (await idle_engine.job(execution_id, "a")).moves
    if move in offered:
        await MOVE_CALLS[move](idle_engine, job_id)
    elif move is Move.RELEASE and status in MOVES[Move.HOLD]:
        await MOVE_CALLS[move](idle_engine, job_id)  # it is not on hold: no effect
        assert (await idle_engine.job(execution_id, "a")).status == status
    else:
        with pytest.raises(InvalidState, match=status):
            await MOVE_CALLS[move](idle_engine, job_id)
        async with idle_engine.runtime.database.connection() as connection:
            assert await connection.fetchrow("SELECT * FROM execution_jobs WHERE id = $1", job_id) == before
    assert (move in offered) == (move in moves_from(status, is_on_hold=False))


async def test_the_job_that_runs_next_is_claimed_first(idle_engine):
    ids = [(await submitted(idle_engine))[1] for _ in range(3)]
    urgent = (await submitted(idle_engine, job("a", priority=900)))[1]

    await run_job_next(idle_engine.runtime.database, ids[2])
    assert await order(idle_engine) == [ids[2], urgent, ids[0], ids[1]]

    await run_job_next(idle_engine.runtime.database, ids[1])
    assert await order(idle_engine) == [ids[1], ids[2], urgent, ids[0]]
    await run_job_next(idle_engine.runtime.database, ids[1])  # it is the first already
    assert await order(idle_engine) == [ids[1], ids[2], urgent, ids[0]]


async def test_a_backoff_ends_when_a_job_is_run_next(engine):
    execution_id, job_id = await submitted(engine, job("a", start_at=later().isoformat()))
    assert (await engine.job(execution_id, "a")).status == "scheduled"

    await run_job_next(engine.runtime.database, job_id)

    assert (await engine.ended(execution_id)).status == "succeeded"


async def test_a_held_job_starts_only_after_its_release(engine):
    execution_id, _ = await submitted(engine, job("slow", "sleep", params={"seconds": 0.3}), job("b", after=["slow"]))
    held = await id_of(engine, execution_id, "b")
    await hold_job(engine.runtime.database, held)
    await engine.wait(execution_id, "job.succeeded", job="slow")

    waiting = await engine.job(execution_id, "b")
    assert (waiting.status, waiting.wait_reason.code, waiting.moves) == (
        "pending",
        "on_hold",
        ["release", "change_queue", "prioritize", "start_later"],
    )
    assert f"callsheet jobs release {execution_id} --job b" in waiting.wait_reason.message
    await hold_job(engine.runtime.database, held)  # no effect
    await release_job(engine.runtime.database, held)

    assert (await engine.ended(execution_id)).status == "succeeded"
    reasons = [event.data.get("reason") for event in await engine.events(execution_id, job="b")]
    assert reasons[:2] == ["on hold", "released"]


async def test_a_job_that_is_released_before_its_upstream_jobs_end_waits_for_them(idle_engine):
    execution_id, _ = await submitted(idle_engine, job("a"), job("b", after=["a"]))
    held = await id_of(idle_engine, execution_id, "b")
    await hold_job(idle_engine.runtime.database, held)
    await release_job(idle_engine.runtime.database, held)

    assert (await idle_engine.job(execution_id, "b")).wait_reason.code == "dependencies"
    await idle_engine.start_worker()
    assert (await idle_engine.ended(execution_id)).status == "succeeded"


async def test_a_held_job_is_cancelled_with_its_execution_and_a_retry_runs_it(idle_engine):
    execution_id, job_id = await submitted(idle_engine)
    await hold_job(idle_engine.runtime.database, job_id)
    await cancel_execution(idle_engine.runtime.database, execution_id)
    cancelled = await idle_engine.job(execution_id, "a")
    await retry_execution(idle_engine.runtime.database, execution_id)

    assert (cancelled.status, cancelled.on_hold_at) == ("cancelled", None)
    assert (await idle_engine.job(execution_id, "a")).status == "queued"
    await idle_engine.start_worker()
    assert (await idle_engine.ended(execution_id)).status == "succeeded"


async def test_a_held_job_is_skipped_when_its_upstream_job_fails(engine):
    execution_id = await engine.submit(
        plan(job("a", "sleep", params={"seconds": 0.3}), job("b", "fail", after=["a"]), job("c", after=["b"]))
    )
    await hold_job(engine.runtime.database, await id_of(engine, execution_id, "c"))

    ended = await engine.ended(execution_id)

    assert (ended.jobs[2].status, ended.jobs[2].on_hold_at) == ("skipped", None)


async def test_a_held_job_that_also_waits_for_a_place_stays_held_when_it_gets_the_place(idle_engine):
    database = idle_engine.runtime.database
    async with database.transaction() as connection:
        request = ApiKeyRequest(name="shop", scopes=[Scope.SUBMIT], max_running=1)
        key = await create_key(connection, request, created_by="test")
    owner = Owner(key.id, KeyLimits(1, None), None)
    ids = []
    for _ in range(2):
        submission = read_submission({"executionPlan": plan(job("a"))})
        stored = await submit(database, submission, idle_engine.runtime.catalog, max_jobs=10, owner=owner)
        ids.append(stored.execution_id)
    second = await id_of(idle_engine, ids[1])
    await hold_job(database, second)
    await cancel_execution(database, ids[0])
    await give_places(database, None)

    assert (await idle_engine.job(ids[1], "a")).status == "pending"
    await release_job(database, second)
    assert (await idle_engine.job(ids[1], "a")).status == "queued"


async def test_a_job_moves_to_another_queue_and_runs_there(idle_engine):
    database, catalog = idle_engine.runtime.database, idle_engine.runtime.catalog
    execution_id, job_id = await submitted(idle_engine)
    await idle_engine.start_worker({"render": 1})
    await database.retry(lambda c: c.execute("INSERT INTO queues (name) VALUES ('render')"))
    assert (await idle_engine.job(execution_id, "a")).queue == "test"

    await change_queue_of_job(database, catalog, job_id, "render_queue")

    ended = await idle_engine.ended(execution_id)
    assert (ended.status, ended.jobs[0].queue) == ("succeeded", "render")
    with pytest.raises(ProblemList, match="not moved") as error:
        await change_queue_of_job(database, catalog, job_id, "nowhere")
    assert "there is no queue 'nowhere'" in str(error.value)


async def test_priorities_change_the_order_of_a_queue(idle_engine):
    first, second = [(await submitted(idle_engine))[1] for _ in range(2)]

    await prioritize_job(idle_engine.runtime.database, second, 500)
    assert await order(idle_engine) == [second, first]
    await prioritize_job(idle_engine.runtime.database, second, -500)
    assert await order(idle_engine) == [first, second]


async def test_plans_and_submissions_set_the_earliest_start_of_jobs(engine):
    soon = later(seconds=1.5)
    execution_id = await engine.submit(plan(job("a"), job("b", startAt=soon.isoformat(), after=["a"])))
    whole = await engine.submit(plan(job("a", startAt=later().isoformat())), startAt=soon.isoformat())
    past = await engine.submit(plan(job("a")), startAt=later(hours=-2).isoformat())

    await engine.wait(execution_id, "job.succeeded", job="a")
    scheduled = await engine.wait(execution_id, "job.scheduled", job="b")
    waiting = await engine.job(execution_id, "b")
    ended = await engine.ended(execution_id)

    assert 0 < scheduled.data["delay"] < 2
    assert (waiting.status, waiting.wait_reason.code, waiting.start_at) == ("scheduled", "start_time", soon)
    assert ended.jobs[1].started_at >= soon
    assert (await engine.ended(past)).status == "succeeded"
    assert (await engine.job(whole, "a")).status == "scheduled"  # the later of both times


async def test_a_job_that_is_to_start_later_is_scheduled_until_then(idle_engine):
    execution_id, job_id = await submitted(idle_engine)
    database = idle_engine.runtime.database
    await start_job_later(database, job_id, later())
    assert (await idle_engine.job(execution_id, "a")).wait_reason.code == "start_time"

    await start_job_later(database, job_id, later(milliseconds=150))
    await asyncio.sleep(0.2)  # sleep: the start
    assert await Scheduler(database).release_due() == 1
    assert (await idle_engine.job(execution_id, "a")).status == "queued"
    with pytest.raises(ProblemList, match="is past"):
        await start_job_later(database, job_id, later(hours=-1))


async def test_a_held_job_with_a_later_start_is_scheduled_by_its_release(idle_engine):
    execution_id, job_id = await submitted(idle_engine)
    database = idle_engine.runtime.database
    await hold_job(database, job_id)
    await start_job_later(database, job_id, later())
    assert (await idle_engine.job(execution_id, "a")).wait_reason.code == "on_hold"

    await release_job(database, job_id)

    assert (await idle_engine.job(execution_id, "a")).wait_reason.code == "start_time"


async def test_a_move_during_a_claim_waits_and_is_refused_because_the_job_runs(engine):
    execution_id, job_id = await submitted(engine, job("a", "sleep", params={"seconds": 2}))
    await engine.wait(execution_id, "job.running")
    idle, other = await submitted(engine, job("a", startAt=later().isoformat()))
    database = engine.runtime.database
    with pytest.raises(InvalidState, match="running"):
        await hold_job(database, job_id)

    async with database.transaction() as claim:
        await claim.fetch("SELECT FROM execution_jobs WHERE id = $1 FOR UPDATE", other)
        moving = asyncio.create_task(hold_job(database, other))
        await asyncio.sleep(0.1)  # sleep: the move must not pass the lock
        assert not moving.done()
        await claim.execute("UPDATE execution_jobs SET status = 'running', epoch = epoch + 1 WHERE id = $1", other)
    with pytest.raises(InvalidState, match="running"):
        await moving
    assert (await engine.job(idle, "a")).status == "running"


async def test_unknown_jobs_are_not_found(idle_engine):
    for call in MOVE_CALLS.values():
        with pytest.raises(NotFound):
            await call(idle_engine, new_id())


async def test_queues_count_held_jobs(idle_engine):
    _, job_id = await submitted(idle_engine)
    await submitted(idle_engine)
    await hold_job(idle_engine.runtime.database, job_id)

    queues = {each.name: each for each in await list_queues(idle_engine.runtime.database, idle_engine.runtime.catalog)}

    assert (queues["test"].queued, queues["test"].on_hold) == (1, 1)
