"""Jobs that are reserved for one worker: those of a local run."""

import asyncio

import pytest
from plans import job, plan

import callsheet
from callsheet.db.statements import sql
from callsheet.domain.errors import PlanRefused
from callsheet.domain.ids import new_id
from callsheet.engine.jobs.submit import submit
from callsheet.local import parse_submission
from callsheet.testing.operations import ALL


async def submit_reserved(engine, jobs, worker_id):
    runtime = engine.runtime
    submission = parse_submission(jobs, runtime.catalog)
    stored = await submit(runtime.database, submission, runtime.catalog, max_jobs=100, reserved_for=worker_id)
    return stored.execution_id


async def workers_of(engine, execution_id):
    async with engine.runtime.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT DISTINCT data ->> 'worker' AS worker FROM events WHERE execution_id = $1 AND type = 'job.running'",
            execution_id,
        )
    return {row["worker"] for row in rows}


def reserved_worker(engine, name="own"):
    return engine.runtime.worker(name=name, only_reserved=True)


async def test_only_the_worker_of_a_run_runs_its_jobs_and_their_child_jobs(engine):
    own = reserved_worker(engine)
    running = asyncio.create_task(own.run())
    await own.registered.wait()

    family = job("family", "run-children", params={"jobs": [{"id": "one"}, {"id": "two"}]})
    execution_id = await submit_reserved(engine, plan(job("a"), family, job("b", after=["a"])), own.id)

    assert (await engine.ended(execution_id)).status == "succeeded"
    assert await workers_of(engine, execution_id) == {"own"}
    own.stop()
    await running


async def test_the_worker_of_a_run_leaves_other_jobs_alone(idle_engine):
    own = reserved_worker(idle_engine)
    running = asyncio.create_task(own.run())
    await own.registered.wait()
    foreign = await idle_engine.submit(plan(job("a")))
    execution_id = await submit_reserved(idle_engine, plan(job("a")), own.id)

    assert (await idle_engine.ended(execution_id)).status == "succeeded"
    own.stop()
    await running

    assert await workers_of(idle_engine, foreign) == set()


async def test_other_workers_take_over_when_the_worker_of_a_run_is_lost(engine):
    own = reserved_worker(engine)
    await own._register()
    execution_id = await submit_reserved(engine, plan(job("a"), job("b", after=["a"])), own.id)
    # A claim for all ready jobs, which finds none.
    other = await engine.run(plan(job("x")))
    assert other.status == "succeeded"
    assert await workers_of(engine, execution_id) == set()

    async with engine.runtime.database.connection() as connection:
        await sql.mark_worker_lost(connection, id=own.id)

    assert (await engine.ended(execution_id)).status == "succeeded"


async def test_only_the_worker_of_a_run_polls_its_waiting_jobs(idle_engine):
    own = reserved_worker(idle_engine)
    await own._register()
    execution_id = await submit_reserved(idle_engine, plan(job("a")), own.id)

    async with idle_engine.runtime.database.connection() as connection:

        async def due(only):
            await connection.execute(
                "UPDATE execution_jobs SET status = 'waiting', provider = 'toy', waiting_until = now(), "
                "next_poll_at = now() - interval '1 second' WHERE execution_id = $1",
                execution_id,
            )
            polls = await sql.claim_polls(connection, providers=["toy"], slots=[9], lease=0.0, only=only)
            await connection.execute("UPDATE execution_jobs SET next_poll_at = now() - interval '1 second'")
            return len(polls), len(await sql.claim_overdue(connection, limit=9, lease=0.0, only=only))

        assert await due(None) == (0, 0)
        assert await due(own.id) == (1, 1)
        assert await due(new_id()) == (0, 0)
        await sql.mark_worker_lost(connection, id=own.id)
        assert await due(None) == (1, 1)


async def test_a_local_run_keeps_its_jobs_beside_another_worker(engine, settings, tmp_path):
    submission = {"jobs": [{"id": name, "operation": "noop"} for name in "abcdef"]}

    execution = await callsheet.arun(
        submission, operations=ALL, settings=settings.model_copy(update={"worker_name": "local"})
    )

    assert execution.status == "succeeded"
    assert await workers_of(engine, execution.execution_id) == {"local"}


async def test_an_invalid_plan_is_reported_before_a_database_is_started(settings):
    offline = settings.model_copy(update={"database_url": None})
    cycle = plan(job("a", after=["b"]), job("b", after=["a"]))

    with pytest.raises(PlanRefused, match="wait for each other"):
        await callsheet.arun(cycle, operations=ALL, settings=offline)

    assert not (settings.data_dir / "postgres").exists()
