"""Manual retries and once-only steps."""

import pytest
from plans import job, plan, statuses

from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState
from callsheet.domain.ids import new_id


def flaky(id, marker, **more):
    """A job that succeeds once a file exists, and otherwise fails at its time limit."""
    return job(id, "block", params={"until": str(marker)}, timeout=0.15, **more)


async def test_a_retry_keeps_succeeded_jobs(engine, tmp_path):
    marker = tmp_path / "marker"
    first = await engine.run(plan(job("good"), flaky("bad", marker, after=["good"]), job("next", after=["bad"])))
    assert statuses(first) == {"good": "succeeded", "bad": "failed", "next": "skipped"}

    marker.touch()
    assert await engine.retry(first.execution_id) == 2
    second = await engine.ended(first.execution_id)

    assert statuses(second) == {"good": "succeeded", "bad": "succeeded", "next": "succeeded"}
    assert second.status == "succeeded"
    runs = [e.job_id for e in await engine.events(first.execution_id) if e.type == "job.running"]
    assert runs == ["good", "bad", "bad", "next"]


async def test_a_job_that_did_not_fail_in_the_end_has_no_error(engine):
    flaky = job("flaky", "fail", params={"times": 1, "transient": True}, retries=2)
    retried = await engine.run(plan(flaky))
    async with engine.runtime.database.connection() as connection:
        reported = await connection.fetchrow("SELECT status, error FROM reporting.execution_jobs")

    [ended] = retried.jobs
    assert (ended.status, ended.attempts, ended.error) == ("succeeded", 1, None)
    assert tuple(reported) == ("completed", None)


async def test_a_job_that_is_cancelled_between_two_runs_has_no_error(engine):
    again = job("again", "fail", params={"times": 9, "transient": True}, retries=9)
    execution_id = await engine.submit(plan(again))
    await engine.wait(execution_id, "job.scheduled")
    before = await engine.job(execution_id, "again")
    await engine.cancel(execution_id)
    [ended] = (await engine.ended(execution_id)).jobs

    assert before.error is not None
    assert (ended.status, ended.error) == ("cancelled", None)


async def test_a_retry_of_one_job_leaves_other_failures_alone(engine, tmp_path):
    marker = tmp_path / "marker"
    first = await engine.run(
        plan(flaky("a", marker), flaky("b", marker), job("both", after=["a", "b"]), job("only", after=["a"]))
    )

    marker.touch()
    assert await engine.retry(first.execution_id, job="a") == 2
    second = await engine.ended(first.execution_id)

    assert statuses(second) == {"a": "succeeded", "b": "failed", "both": "skipped", "only": "succeeded"}
    assert second.status == "failed"


async def test_a_retried_job_does_not_release_downstream_twice(engine, tmp_path):
    """Its failure already released the dependency; its second end must not count for another job."""
    marker, gate = tmp_path / "marker", tmp_path / "gate"
    execution_id = await engine.submit(
        plan(
            flaky("may-fail", marker, continueOnFailure=True),
            job("slow", "block", params={"until": str(gate)}),
            job("both", after=["may-fail", "slow"]),
        )
    )
    await engine.wait(execution_id, "job.failed", job="may-fail")

    marker.touch()
    await engine.retry(execution_id, job="may-fail")
    await engine.wait(execution_id, "job.succeeded", job="may-fail")

    assert (await engine.job(execution_id, "both")).status == "pending"
    gate.touch()
    execution = await engine.ended(execution_id)
    assert set(statuses(execution).values()) == {"succeeded"}


async def test_succeeded_jobs_cannot_be_retried(engine):
    done = await engine.run(plan(job("a")))

    with pytest.raises(InvalidState):
        await engine.retry(done.execution_id)
    with pytest.raises(InvalidState):
        await engine.retry(done.execution_id, job="a")


async def test_a_cancelled_execution_can_be_retried(idle_engine):
    execution_id = await idle_engine.submit(plan(job("a"), job("b", after=["a"])))
    await idle_engine.cancel(execution_id)

    await idle_engine.retry(execution_id)
    await idle_engine.start_worker()

    assert (await idle_engine.ended(execution_id)).status == "succeeded"


async def test_a_finished_step_returns_its_value_to_later_runs(engine, tmp_path):
    ledger = tmp_path / "ledger"
    params = {"ledger": str(ledger), "failAfter": 2}

    execution = await engine.run(plan(job("a", "pay-once", params=params)))

    assert execution.jobs[0].result == {"value": 1}
    assert execution.jobs[0].attempts == 2
    assert ledger.read_text() == "1\n"


async def test_a_step_of_unknown_outcome_is_repeated_only_by_a_retry_with_resubmit(idle_engine, tmp_path):
    ledger = tmp_path / "ledger"
    execution_id = await idle_engine.submit(plan(job("a", "pay-once", params={"ledger": str(ledger)})))
    record = (await idle_engine.execution(execution_id)).jobs[0].id
    async with idle_engine.runtime.database.connection() as connection:
        await connection.execute("INSERT INTO once_steps (job, name, epoch) VALUES ($1, 'pay', 0)", record)
    await idle_engine.start_worker()

    execution = await idle_engine.ended(execution_id)
    assert execution.jobs[0].error.code == "outcome_unknown"
    assert execution.jobs[0].attempts == 1

    await idle_engine.retry(execution_id)
    assert (await idle_engine.ended(execution_id)).jobs[0].error.code == "outcome_unknown"
    assert not ledger.exists()

    await idle_engine.retry(execution_id, resubmit=True)
    execution = await idle_engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert ledger.read_text() == "1\n"


async def test_a_step_cannot_start_in_a_run_that_lost_its_job(database):
    async with database.connection() as connection:
        assert await sql.begin_step(connection, job=new_id(), name="pay", epoch=1) is None
