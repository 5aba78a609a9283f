"""Schedules on a real database: each time once, however many servers run, and whatever happened before."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from plans import job, plan

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import ConfigurationError, DiskFull, InvalidState, NotFound, PlanRefused
from callsheet.domain.plan import Plan
from callsheet.domain.schedules import RunOutcome, ScheduleSpec
from callsheet.engine.jobs.stored_plans import delete_plan, push_plan
from callsheet.engine.schedules.checks import check_schedule
from callsheet.engine.schedules.file import read_schedules_file, store_defined_schedules
from callsheet.engine.schedules.firing import ScheduleRunner
from callsheet.engine.schedules.store import (
    delete_schedule,
    get_schedule,
    list_runs,
    list_schedules,
    pause_schedule,
    resume_schedule,
    store_schedule,
)

HOUR = timedelta(hours=1)
PLAN = Plan(jobs=[{"id": "a", "operation": "noop"}])


def spec(**fields):
    return ScheduleSpec(**{"cron": "0 * * * *", "execution_plan": PLAN, **fields})


async def store(engine, schedule, name="ad", **options):
    options = {"paused": None, "api_key": None, "created_by": "test", **options}
    return await store_schedule(engine.runtime.database, name, schedule, **options)


async def make_due(engine, name="ad", *, at=None, late=timedelta(seconds=1)):
    """Set the time of a schedule to one that has come."""
    async with engine.runtime.database.connection() as connection:
        now = await connection.fetchval("SELECT clock_timestamp()")
        at = at or now - late
        await connection.execute("UPDATE schedules SET due_at = $1, start_at = $1 WHERE name = $2", at, name)
    return at


def runner(engine):
    return engine.runtime.schedule_runner()


async def runs_of(engine, name="ad"):
    return await list_runs(engine.runtime.database, name, before=None, limit=100)


async def executions(engine):
    async with engine.runtime.database.connection() as connection:
        return await connection.fetchval("SELECT count(*) FROM executions")


async def test_a_due_schedule_starts_its_plan_and_gets_its_next_time(idle_engine):
    await store(idle_engine, spec(inputs={}, metadata={"from": "schedule"}))
    at = await make_due(idle_engine)

    assert await runner(idle_engine).run_due() == 1

    schedule = await get_schedule(idle_engine.runtime.database, "ad")
    execution = await idle_engine.execution(schedule.last_run.execution_id)
    assert (schedule.last_run.due_at, schedule.last_run.outcome) == (at, RunOutcome.STARTED)
    assert execution.metadata == {"from": "schedule"}
    assert timedelta(0) < schedule.next_due_at - datetime.now(UTC) <= HOUR


async def test_ten_servers_start_each_time_once(idle_engine):
    for number in range(20):
        await store(idle_engine, spec(), f"s{number}")
        await make_due(idle_engine, f"s{number}")

    started = await asyncio.gather(*(runner(idle_engine).run_due() for _ in range(10)))

    assert sum(started) == 20
    assert await executions(idle_engine) == 20


async def test_a_server_that_dies_after_the_submission_starts_nothing_twice(idle_engine):
    await store(idle_engine, spec())
    at = await make_due(idle_engine)
    await runner(idle_engine).run_due()
    first = (await runs_of(idle_engine))[0].execution_id
    # As if the transaction of the decision had not been committed.
    async with idle_engine.runtime.database.connection() as connection:
        await connection.execute("DELETE FROM schedule_runs")
    await make_due(idle_engine, at=at)

    await runner(idle_engine).run_due()

    assert [run.execution_id for run in await runs_of(idle_engine)] == [first]
    assert await executions(idle_engine) == 1


@pytest.mark.parametrize(
    ("overlap", "outcomes", "number"),
    [
        ("skip", ["skipped", "started"], 1),
        ("wait", ["started"], 1),
        ("allow", ["started", "started"], 2),
        ("cancel", ["started", "started"], 2),
    ],
)
async def test_a_time_that_comes_while_an_execution_runs(idle_engine, overlap, outcomes, number):
    await store(idle_engine, spec(overlap=overlap))
    await make_due(idle_engine)
    await runner(idle_engine).run_due()
    await make_due(idle_engine)

    await runner(idle_engine).run_due()

    runs = await runs_of(idle_engine)
    assert [run.outcome for run in runs] == outcomes
    assert await executions(idle_engine) == number
    assert (runs[-1].execution_status == "cancelled") == (overlap == "cancel")


async def test_wait_starts_when_the_earlier_execution_has_ended(idle_engine):
    await store(idle_engine, spec(overlap="wait"))
    await make_due(idle_engine)
    await runner(idle_engine).run_due()
    at = await make_due(idle_engine)
    assert await runner(idle_engine).run_due() == 0

    await idle_engine.cancel((await runs_of(idle_engine))[0].execution_id)

    assert await runner(idle_engine).run_due() == 1
    assert (await runs_of(idle_engine))[0].due_at == at


async def test_missed_times_are_in_the_history(idle_engine):
    await store(idle_engine, spec(every="10m", cron=None, missed="once"))
    await make_due(idle_engine, late=HOUR)

    assert await runner(idle_engine).run_due() == 1

    newest, missed = await runs_of(idle_engine)
    assert (newest.outcome, missed.outcome) == (RunOutcome.STARTED, RunOutcome.MISSED)
    assert missed.reason == "6 times from this one on passed while no server ran"


async def test_all_missed_times_run_one_after_another(idle_engine):
    await store(idle_engine, spec(every="10m", cron=None, missed="all", overlap="allow"))
    await make_due(idle_engine, late=HOUR)

    started = 0
    while await runner(idle_engine).run_due():
        started += 1

    assert started == 7
    assert await executions(idle_engine) == 7


async def test_a_plan_that_was_deleted_is_refused_with_its_reason_and_later_times_go_on(idle_engine):
    database = idle_engine.runtime.database
    await push_plan(database, "ad", PLAN, idle_engine.runtime.catalog, max_jobs=10)
    await store(idle_engine, ScheduleSpec(cron="0 * * * *", plan="ad"))
    await delete_plan(database, "ad")
    await make_due(idle_engine)

    assert await runner(idle_engine).run_due() == 0

    (run,) = await runs_of(idle_engine)
    assert (run.outcome, run.reason) == (RunOutcome.REFUSED, "There is no stored plan 'ad'.")
    assert (await get_schedule(database, "ad")).next_due_at > datetime.now(UTC)


async def test_a_stored_plan_runs_in_its_newest_version(idle_engine):
    database = idle_engine.runtime.database
    await push_plan(database, "ad", PLAN, idle_engine.runtime.catalog, max_jobs=10)
    await store(idle_engine, ScheduleSpec(cron="0 * * * *", plan="ad"))
    two_jobs = Plan(jobs=[{"id": "a", "operation": "noop"}, {"id": "b", "operation": "noop"}])
    await push_plan(database, "ad", two_jobs, idle_engine.runtime.catalog, max_jobs=10)
    await make_due(idle_engine)

    await runner(idle_engine).run_due()

    execution = await idle_engine.execution((await runs_of(idle_engine))[0].execution_id)
    assert len(execution.jobs) == 2


async def test_executions_of_a_revoked_key_are_refused(idle_engine):
    database = idle_engine.runtime.database
    key = await idle_engine.submit(plan(job("a")))  # any id that is no key
    await store(idle_engine, spec(), api_key=key)
    await make_due(idle_engine)

    await runner(idle_engine).run_due()

    (run,) = await runs_of(idle_engine)
    assert run.outcome is RunOutcome.REFUSED
    assert "was revoked or has expired" in run.reason
    assert await database.retry(sql.due_schedules) == []


async def test_a_paused_schedule_starts_nothing_and_misses_nothing(idle_engine):
    database = idle_engine.runtime.database
    await store(idle_engine, spec())
    await make_due(idle_engine, late=5 * HOUR)

    paused = await pause_schedule(database, "ad")
    assert paused.next_due_at is None
    assert await runner(idle_engine).run_due() == 0
    resumed = await resume_schedule(database, "ad")

    assert await runner(idle_engine).run_due() == 0
    assert resumed.next_due_at > datetime.now(UTC)
    assert await runs_of(idle_engine) == []


async def test_a_schedule_can_be_run_by_hand_also_while_it_is_paused(idle_engine):
    await store(idle_engine, spec(), paused=True)

    first = await runner(idle_engine).start_now("ad", "key")
    again = await runner(idle_engine).start_now("ad", "key")

    assert first == again
    assert [(run.execution_id, run.is_manual) for run in await runs_of(idle_engine)] == [(first, True)]


async def test_many_requests_to_run_a_schedule_do_not_wait_for_each_others_connections(idle_engine):
    await store(idle_engine, spec(), paused=True)

    async with asyncio.timeout(30), Database(idle_engine.runtime.database.address, size=2) as database:
        small = ScheduleRunner(database, idle_engine.runtime.catalog, idle_engine.runtime.settings)
        started = await asyncio.gather(*(small.start_now("ad", None) for _ in range(20)))

    assert len(set(started)) == 20


async def test_a_schedule_that_cannot_be_read_keeps_no_other_from_running(idle_engine):
    database = idle_engine.runtime.database
    for name in ("a", "b"):
        await store(idle_engine, spec(), name)
    await make_due(idle_engine, "a", late=timedelta(seconds=2))
    await make_due(idle_engine, "b")
    unknown_zone = """UPDATE schedules SET spec = spec || '{"timeZone": "Gone/Zone"}' WHERE name = 'a'"""
    async with database.connection() as connection:
        await connection.execute(unknown_zone)

    assert await runner(idle_engine).run_due() == 1

    async with database.connection() as connection:
        assert await connection.fetchval("SELECT array_agg(schedule) FROM schedule_runs") == ["b"]
    # It is not tried again at once.
    assert await database.retry(sql.due_schedules) == []


async def test_a_clean_up_that_fails_does_not_end_the_server(idle_engine, monkeypatch):
    runtime = idle_engine.runtime
    await store_defined_schedules(runtime.database, None)
    failed = asyncio.Event()

    async def fail(*_):
        failed.set()
        raise DiskFull("there is no room")

    monkeypatch.setattr("callsheet.wiring.clean_up", fail)
    await make_due(idle_engine, "clean-up")
    tasks = asyncio.create_task(runtime.run_server_tasks())
    try:
        async with asyncio.timeout(20):
            await failed.wait()
            # What is due afterwards still runs.
            await store(idle_engine, spec())
            await make_due(idle_engine)
            while await executions(idle_engine) == 0:  # noqa: ASYNC110 - the database is watched
                await asyncio.sleep(0.05)
        assert not tasks.done()
    finally:
        tasks.cancel()
        await asyncio.gather(tasks, return_exceptions=True)


async def test_an_invalid_plan_is_refused_when_the_schedule_is_stored(idle_engine):
    runtime = idle_engine.runtime
    wrong = spec(execution_plan=Plan(jobs=[{"id": "a", "operation": "nop"}]), callback_url="ftp://x")

    with pytest.raises(PlanRefused) as refused:
        await check_schedule(runtime.database, wrong, runtime.catalog, runtime.settings)

    assert {problem.path for problem in refused.value.problems} == {"callbackUrl", "executionPlan.jobs[0].operation"}


async def test_a_schedule_of_an_unknown_plan_is_refused(idle_engine):
    runtime = idle_engine.runtime

    with pytest.raises(PlanRefused, match="There is no stored plan 'vertical-add', did you mean 'vertical-ad'"):
        await check_schedule(
            runtime.database, ScheduleSpec(every="1h", plan="vertical-add"), runtime.catalog, runtime.settings
        )


FILE = """
morning:
  cron: "30 6 * * 1-5"
  timeZone: Europe/Berlin
  executionPlan: {jobs: [{id: a, operation: noop}]}
hourly:
  every: 1h
  paused: true
  executionPlan: {jobs: [{id: a, operation: noop}]}
"""


async def test_schedules_of_a_file_are_stored_at_each_start_and_keep_their_times(idle_engine, tmp_path):
    database, path = idle_engine.runtime.database, tmp_path / "schedules.yaml"
    path.write_text(FILE)
    await store_defined_schedules(database, path)
    at = await make_due(idle_engine, "morning")

    await store_defined_schedules(database, path)

    stored = {each.name: each for each in await list_schedules(database)}
    assert stored["morning"].next_due_at == at
    assert stored["hourly"].paused_at is not None
    assert {each.origin for each in stored.values()} == {"settings", "included"}


async def test_what_the_file_no_longer_has_is_deleted_and_what_clients_stored_stays(idle_engine, tmp_path):
    database, path = idle_engine.runtime.database, tmp_path / "schedules.yaml"
    path.write_text(FILE)
    await store_defined_schedules(database, path)
    await store(idle_engine, spec())
    path.write_text(FILE.partition("hourly")[0])

    await store_defined_schedules(database, path)
    await store_defined_schedules(database, None)

    assert [each.name for each in await list_schedules(database) if each.origin != "included"] == ["ad", "morning"]


async def test_clients_cannot_replace_or_delete_schedules_of_a_file(idle_engine, tmp_path):
    database, path = idle_engine.runtime.database, tmp_path / "schedules.yaml"
    path.write_text(FILE)
    await store_defined_schedules(database, path)

    with pytest.raises(InvalidState, match="Change it there"):
        await store(idle_engine, spec(), "morning")
    with pytest.raises(InvalidState, match="Pause it instead"):
        await delete_schedule(database, "morning")
    assert (await pause_schedule(database, "morning")).paused_at is not None


def test_every_problem_of_a_file_is_reported(tmp_path):
    path = tmp_path / "schedules.yaml"
    path.write_text("Bad Name: {cron: '* * * * *', plan: ad}\nb: {cron: 'x', plan: ad}\nc: {every: 1h}\nd: 5\n")

    with pytest.raises(ConfigurationError) as refused:
        read_schedules_file(path)

    message = str(refused.value)
    assert "has 4 problems" in message
    assert "'x' is not a cron expression" in message
    assert "give one of `plan`" in message


async def test_included_schedules_start_nothing_while_there_is_nothing_to_do(idle_engine):
    database = idle_engine.runtime.database
    await store_defined_schedules(database, None)
    await make_due(idle_engine, "fatigue-watch")

    assert await runner(idle_engine).run_due() == 0

    (run,) = await runs_of(idle_engine, "fatigue-watch")
    assert (run.outcome, run.reason) == (RunOutcome.SKIPPED, "there are no metrics of ads")


async def test_an_unknown_schedule_is_an_error_with_a_hint(idle_engine):
    await store(idle_engine, spec(), "morning")

    with pytest.raises(NotFound, match="no schedule 'mornin', did you mean 'morning'"):
        await get_schedule(idle_engine.runtime.database, "mornin")


async def test_old_runs_are_deleted(idle_engine):
    database = idle_engine.runtime.database
    await store(idle_engine, spec())
    await make_due(idle_engine)
    await ScheduleRunner(database, idle_engine.runtime.catalog, idle_engine.runtime.settings).run_due()
    async with database.connection() as connection:
        await connection.execute("UPDATE schedule_runs SET decided_at = decided_at - interval '91 days'")

    await database.retry(lambda c: sql.delete_old_schedule_runs(c, max_age=90 * 86400.0, limit=10))

    assert await runs_of(idle_engine) == []


async def result_of(engine, name):
    """Wait for the result of a task in the history of its schedule."""
    while True:
        if (found := await runs_of(engine, name)) and found[0].reason is not None:
            return found[0]
        await asyncio.sleep(0.05)


async def test_the_clean_up_is_a_task_of_the_server_with_its_result_in_the_history(idle_engine):
    runtime = idle_engine.runtime
    await store_defined_schedules(runtime.database, None)
    await make_due(idle_engine, "clean-up")

    tasks = asyncio.create_task(runtime.run_server_tasks())
    try:
        async with asyncio.timeout(20):
            found = await result_of(idle_engine, "clean-up")
    finally:
        tasks.cancel()
        await asyncio.gather(tasks, return_exceptions=True)

    assert (found.outcome, found.reason) == (RunOutcome.STARTED, "deleted 0 executions with 0 files (0 bytes)")


async def test_a_task_that_is_run_by_hand_becomes_due(idle_engine):
    runtime = idle_engine.runtime
    await store_defined_schedules(runtime.database, None)
    first = runner(idle_engine)

    assert await first.start_now("clean-up", None) is None
    await first.run_due()
    await pause_schedule(runtime.database, "clean-up")

    assert [(due.schedule, due.task) for due in first.due_tasks] == [("clean-up", "clean-up")]
    with pytest.raises(InvalidState, match="Resume it first"):
        await first.start_now("clean-up", None)
