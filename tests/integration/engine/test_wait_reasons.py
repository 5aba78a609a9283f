"""Why jobs wait: computed at each read, and reported as events by a periodic search."""

import asyncio
import math
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from plans import job, plan

from callsheet.db.statements import sql
from callsheet.domain.errors import (
    DatabaseUnavailable,
    PlanRefused,
    ProviderRateLimited,
    ProviderUnreachable,
    Transient,
)
from callsheet.domain.ids import new_id
from callsheet.domain.wait_reasons import WaitCode
from callsheet.engine.fleet.queues import QueueChange, Rate, change_queue
from callsheet.engine.jobs.blocked import report_blocked_jobs
from callsheet.engine.jobs.receipt import receipt_of
from callsheet.engine.jobs.submit import SubmittedPlan
from callsheet.engine.reads.executions import get_execution
from callsheet.engine.reads.jobs import get_job
from callsheet.engine.reads.queues import list_queues
from callsheet.engine.reads.workers import list_workers
from callsheet.engine.worker.rescuer import Rescuer
from callsheet.engine.worker.run_wait import RunWait, storage_wait
from callsheet.local import arun
from callsheet.operation_api.contract import operation
from callsheet.queue.claim import Claimer
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import QUEUE, AnyValue, noop
from callsheet.testing.waiters import until

NOW = timedelta(0)


@operation("gpu-only", queue=QUEUE, needs={"gpu"})
async def gpu_only(job, params: AnyValue) -> AnyValue:
    """Needs a graphics card."""
    return params


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch):
    monkeypatch.setattr("callsheet.operation_api.requirements.CHECKS", {"gpu": lambda _: "There is no GPU"})


@pytest.fixture
def settings(settings):
    """The periodic search is left to the tests."""
    return settings.model_copy(update={"blocked_interval": timedelta(hours=1)})


async def reason(engine, execution_id, name="a"):
    """Return the reason of a job; it is the same in both reads."""
    found = await engine.job(execution_id, name)
    alone = await get_job(engine.runtime.database, found.id, engine.runtime.sign)
    assert alone.wait_reason == found.wait_reason
    return found.wait_reason


async def change(engine, **changes):
    await change_queue(engine.runtime.database, engine.runtime.catalog, QUEUE, QueueChange(**changes))


async def test_without_a_worker(idle_engine):
    found = await reason(idle_engine, await idle_engine.submit(plan(job("a"))))

    assert (found.code, found.message) == ("no_worker", "No worker is running.")
    assert found.facts == {"queue": QUEUE, "operation": "noop", "workers": 0}


async def test_without_a_lane_for_the_queue(idle_engine):
    await idle_engine.start_worker({"x": 1})
    execution_id = await idle_engine.submit(plan(job("a")))

    found = await eventually(idle_engine, execution_id, WaitCode.NO_LANE)

    assert found.message == (
        f"No running worker has a lane for the queue '{QUEUE}'. 1 worker is running, with lanes for x."
    )


async def eventually(engine, execution_id, code, name="a"):
    """Return the reason once it has this code: a worker needs a moment to register."""
    deadline = time.monotonic() + 30
    while (found := (await engine.job(execution_id, name)).wait_reason) is None or found.code != code:
        assert time.monotonic() < deadline, f"{found}"
    return await reason(engine, execution_id, name)


async def test_without_a_requirement(settings):
    async with running_engine([noop, gpu_only], settings=settings) as engine:
        execution_id = await engine.submit(plan(job("a", "gpu-only")))
        found = await eventually(engine, execution_id, WaitCode.MISSING_REQUIREMENT)

    assert found.message == (f"'gpu-only' needs gpu, which no worker of the queue '{QUEUE}' has. There is no GPU.")
    assert found.facts == {"queue": QUEUE, "operation": "gpu-only", "workers": 1, "requirements": ["gpu"]}


async def test_without_the_operation(settings):
    async with (
        running_engine([noop], settings=settings),
        running_engine([noop, gpu_only], settings=settings, workers=0) as engine,
    ):
        execution_id = await engine.submit(plan(job("a", "gpu-only")))
        found = await eventually(engine, execution_id, WaitCode.UNKNOWN_OPERATION)

    assert found.message.startswith(f"No worker of the queue '{QUEUE}' has the operation 'gpu-only'.")


async def test_a_paused_queue(engine):
    await change(engine, paused=True)
    found = await reason(engine, await engine.submit(plan(job("a"))))

    assert found.code == "queue_paused"
    assert found.message.endswith(f"To resume it: callsheet queues resume {QUEUE}")


async def test_a_limit_of_running_jobs(engine):
    await change(engine, max_running=0)
    found = await eventually(engine, await engine.submit(plan(job("a"))), WaitCode.QUEUE_LIMIT)

    assert found.facts == {"queue": QUEUE, "maxRunning": 0, "running": 0}
    assert found.is_blocked


async def test_a_worker_that_runs_only_reserved_jobs_does_not_count(idle_engine):
    worker = idle_engine.runtime.worker(only_reserved=True)
    working = asyncio.create_task(worker.run())
    await until(lambda: _registered(idle_engine), timeout=60)

    found = await reason(idle_engine, await idle_engine.submit(plan(job("a"))))
    [queue] = [q for q in await list_queues(idle_engine.runtime.database, idle_engine.runtime.catalog) if q.queued]
    worker.stop()
    await working

    assert (found.code, queue.slots) == ("no_worker", 0)


async def _registered(engine):
    return await list_workers(engine.runtime.database)


async def test_a_rate_limit(engine):
    await change(engine, rate=Rate(1, timedelta(hours=1)))
    await engine.run(plan(job("first")))
    execution_id = await engine.submit(plan(job("a")))

    found = await reason(engine, execution_id)

    assert (found.code, found.facts["rateLimit"]) == ("rate_limit", 1)
    assert found.until > (await engine.job(execution_id, "a")).created_at + timedelta(minutes=50)


async def test_all_slots_in_use(idle_engine, tmp_path):
    await idle_engine.start_worker({QUEUE: 1})
    gate = tmp_path / "gate"
    execution_id = await idle_engine.submit(
        plan(job("long", "block", params={"until": str(gate)}), job("a"), job("after", after=["long", "a"]))
    )
    await idle_engine.wait(execution_id, "job.running", job="long", timeout=60)

    slot, after, running = [await reason(idle_engine, execution_id, name) for name in ("a", "after", "long")]
    gate.touch()

    assert (slot.code, slot.facts["slots"], slot.facts["running"]) == ("no_free_slot", 1, 1)
    assert (after.code, after.message) == ("dependencies", "It waits for upstream jobs: long, a.")
    assert running is None


async def test_the_backoff_of_a_retry(settings):
    @operation("flaky", queue=QUEUE)
    async def flaky(job, params: AnyValue) -> AnyValue:
        raise Transient("The line is busy.", retry_after=3600)

    async with running_engine([flaky], settings=settings) as engine:
        execution_id = await engine.submit(plan(job("a", "flaky")))
        await engine.wait(execution_id, "job.scheduled", timeout=60)
        found = await reason(engine, execution_id)

    assert found.code == "retry_backoff"
    assert found.message.endswith("after transient: The line is busy.")
    assert found.facts == {"errorCode": "transient", "attempts": 1, "maxAttempts": 3}


@pytest.mark.parametrize("error", [ProviderRateLimited, ProviderUnreachable])
async def test_a_provider_that_takes_no_requests(settings, error):
    @operation("ordering", queue=QUEUE)
    async def ordering(job, params: AnyValue) -> AnyValue:
        raise error("Luma responded 429.", retry_after=3600)

    async with running_engine([ordering], settings=settings) as engine:
        execution_id = await engine.submit(plan(job("a", "ordering")))
        await engine.wait(execution_id, "job.scheduled", timeout=60)
        found = await reason(engine, execution_id)

    assert found.code == "provider_unavailable"
    assert found.message.endswith(f"after {error.code}: Luma responded 429.")
    assert found.until is not None


async def test_a_job_whose_workers_died(idle_engine):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(job("a")))
    without_worker = await _found_after_a_death(idle_engine, execution_id)
    await register(idle_engine, "alive")
    once = await reason(idle_engine, execution_id)

    twice = await _found_after_a_death(idle_engine, execution_id)

    assert [found.code for found in (without_worker, once, twice)] == ["no_worker", "ready", "crash_suspect"]
    assert twice.message == (
        "The worker died in each of its last 2 starts. Such jobs run one at a time, and at 3 it fails as crash_loop."
    )
    assert twice.facts == {"starts": 2, "crashLimit": 3}
    blocked = await idle_engine.wait(execution_id, "job.blocked")
    assert (blocked.data["code"], blocked.data["facts"]) == ("crash_suspect", twice.facts)
    job_id = (await idle_engine.job(execution_id, "a")).id
    async with database.connection() as connection:
        await sql.uncount_start(connection, id=job_id, epoch=1)  # the worker was only cut off
    assert (await reason(idle_engine, execution_id)).code == "ready"


async def register(engine, name):
    """Register a worker with a free slot; return its id."""
    worker_id = new_id()
    async with engine.runtime.database.connection() as connection:
        await sql.register_worker(
            connection,
            id=worker_id,
            name=name,
            host="h",
            pid=1,
            version="1",
            lanes=f'{{"{QUEUE}": 1}}',
            operations=["noop"],
            missing="{}",
            timeout=60,
            only_reserved=False,
        )
    return worker_id


async def claimed_by(engine, worker_id):
    claimer = Claimer(engine.runtime.database, worker_id, "w", ["noop"], suspect_from=9)
    [claimed] = (await claimer.claim(QUEUE, 1)).jobs
    return claimed


async def _found_after_a_death(engine, execution_id):
    """Claim the job, lose the worker, and return the reason after the rescue."""
    database, worker_id = engine.runtime.database, await register(engine, "dead")
    await claimed_by(engine, worker_id)
    async with database.connection() as connection:
        await sql.mark_worker_lost(connection, id=worker_id)
    assert await Rescuer(database, new_id(), worker_timeout=60, crash_limit=3).rescue() == 1
    return await reason(engine, execution_id)


async def test_the_end_of_a_wait_for_the_storage_is_recorded_after_an_outage_of_the_database(idle_engine, monkeypatch):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(job("a")))
    wait = RunWait(database, await claimed_by(idle_engine, await register(idle_engine, "w")))
    await wait.record(storage_wait("The bucket does not respond", 3600))
    assert (await reason(idle_engine, execution_id)).code == "storage_outage"
    asked, back = asyncio.Event(), asyncio.Event()
    retry = database.retry

    async def away(work, *, timeout, **options):
        if timeout < math.inf:
            raise DatabaseUnavailable("The database is away.")
        asked.set()
        await back.wait()
        return await retry(work, timeout=timeout, **options)

    monkeypatch.setattr(database, "retry", away)
    await wait.record(None)
    async with asyncio.timeout(30):
        await asked.wait()
    monkeypatch.setattr(database, "retry", retry)
    assert (await reason(idle_engine, execution_id)).code == "storage_outage"
    back.set()

    async def is_cleared():
        return (await idle_engine.job(execution_id, "a")).wait_reason is None

    await until(is_cleared)
    wait.close()


async def test_a_blocked_job_is_reported_once(idle_engine):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(job("a"), job("b", after=["a"])))

    too_early = await report_blocked_jobs(database, min_age=timedelta(hours=1))
    reported = [await report_blocked_jobs(database, min_age=NOW) for _ in range(2)]

    assert (too_early, reported) == (0, [1, 0])
    [event] = [event for event in await idle_engine.events(execution_id) if event.type == "job.blocked"]
    assert (event.job_id, event.data["code"]) == ("a", "no_worker")
    await idle_engine.start_worker()
    execution = await idle_engine.ended(execution_id, timeout=60)
    assert execution.status == "succeeded"
    assert [found.wait_reason for found in execution.jobs] == [None, None]


async def test_a_running_worker_reports_jobs_that_it_cannot_run(settings):
    often = settings.model_copy(update={"blocked_interval": timedelta(milliseconds=100)})
    async with running_engine([noop, gpu_only], settings=often) as engine:
        execution_id = await engine.submit(plan(job("a", "gpu-only")))
        event = await engine.wait(execution_id, "job.blocked", timeout=60)

    assert event.data["code"] == "missing_requirement"


async def test_the_response_to_a_submission_warns_of_jobs_that_nothing_can_start(idle_engine):
    execution_id = await idle_engine.submit(plan(job("a"), job("b", after=["a"])))

    [warning] = (await receipt_of(idle_engine.runtime.database, SubmittedPlan(execution_id))).warnings

    assert (warning.code, warning.jobs, warning.message) == ("no_worker", ["a", "b"], "No worker is running.")


async def test_a_wait_in_a_test_that_times_out_says_why(settings):
    async with running_engine([noop], settings=settings, lanes={"x": 1}) as engine:
        execution_id = await engine.submit(plan(job("a")))
        await eventually(engine, execution_id, WaitCode.NO_LANE)
        with pytest.raises(AssertionError, match=f"a is queued: No running worker has a lane for the queue '{QUEUE}'"):
            await engine.ended(execution_id, timeout=0.1)


async def test_a_local_run_refuses_at_once_what_this_machine_cannot_run(settings):
    started = time.monotonic()
    with pytest.raises(PlanRefused) as refused:
        await arun(plan(job("x"), job("a", "gpu-only")), operations=[noop, gpu_only], settings=settings)

    [problem] = refused.value.problems
    assert (problem.path, problem.code) == ("jobs[1].operation", "missing_requirement")
    assert problem.message == "'gpu-only' cannot run on this machine. There is no GPU"
    assert time.monotonic() - started < 30


async def test_a_local_run_refuses_what_its_own_worker_cannot_run_also_if_another_one_can(settings):
    able = replace(gpu_only, needs=frozenset())
    async with running_engine([noop, able], settings=settings) as engine:
        execution_id = await engine.submit(plan(job("first")))
        await engine.ended(execution_id, timeout=60)
        with pytest.raises(PlanRefused, match="'gpu-only' cannot run on this machine"):
            await arun(plan(job("a", "gpu-only")), operations=[noop, gpu_only], settings=settings)


async def test_the_reasons_of_a_thousand_jobs_need_two_queries(idle_engine, monkeypatch):
    import callsheet.engine.reads.wait_reasons as module

    execution_id = await idle_engine.submit(plan(*(job(f"j{number}") for number in range(1000))))
    calls = []

    class Counted:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(sql, name)

    sql = module.sql
    monkeypatch.setattr(module, "sql", Counted())
    execution = await get_execution(idle_engine.runtime.database, execution_id, idle_engine.runtime.sign)

    assert calls == ["live_workers", "queue_limits"]
    assert {found.wait_reason.code for found in execution.jobs} == {"no_worker"}
