"""Notifications, heartbeats, rescue and shutdown, with faults."""

import asyncio
import time
from datetime import timedelta
from functools import partial

import pytest
from claiming import claim_and_die, claimer
from plans import job, plan, statuses
from pydantic import SecretStr

from callsheet.db.statements import sql
from callsheet.domain.ids import new_id
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.complete import complete
from callsheet.engine.jobs.discarded_run import record_discarded_run
from callsheet.engine.jobs.outcomes import Outcome
from callsheet.engine.reads.workers import list_workers
from callsheet.engine.worker import heartbeat
from callsheet.engine.worker.rescuer import Rescuer
from callsheet.engine.worker.scheduler import Scheduler
from callsheet.queue.claim import Claimer
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until


def with_short_timeouts(settings, **more):
    return settings.model_copy(
        update={
            "heartbeat_interval": settings.schedule_interval * 2,
            "worker_timeout": settings.schedule_interval * 20,
            **more,
        }
    )


async def test_an_idle_worker_starts_a_job_at_once(engine):
    await engine.run(plan(job("warm")))
    waits = []
    for n in range(10):
        execution = await engine.run(plan(job(f"a{n}")))
        waits.append((execution.jobs[0].started_at - execution.jobs[0].queued_at).total_seconds())

    print(f"pick-up latency: {sorted(waits)[5] * 1000:.1f} ms")
    assert sorted(waits)[5] < 0.5


async def test_a_lost_notification_costs_only_a_poll_interval(settings):
    async with running_engine(
        ALL, settings=settings.model_copy(update={"poll_interval": settings.retry_cap})
    ) as engine:
        await engine.run(plan(job("warm")))
        engine.workers[0]._listener._on_notify = lambda *_: None

        execution = await engine.run(plan(job("a"), job("b", after=["a"])))

        assert execution.status == "succeeded"


async def test_a_notification_during_a_claim_is_not_lost(settings, monkeypatch):
    """An empty claim may be older than the job that the notification announces."""
    never = settings.model_copy(update={"poll_interval": settings.worker_timeout * 100})
    async with running_engine(ALL, settings=never) as engine:
        lane = engine.workers[0]._lanes["test"]
        claim, answered = lane._claimer.claim, asyncio.Event()

        async def stale(queue, free, *, suspects):
            result = await claim(queue, free, suspects=suspects)
            if not result.jobs and not answered.is_set():
                answered.set()
                execution = await engine.submit(plan(job("a")))
                lane.wake()
                found.set_result(execution)
            return result

        found = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(lane._claimer, "claim", stale)
        lane.wake()

        execution_id = await asyncio.wait_for(found, 30)

        assert (await engine.ended(execution_id, timeout=30)).status == "succeeded"


async def test_jobs_start_at_once_after_the_listen_connection_was_killed(settings):
    never = settings.model_copy(update={"poll_interval": settings.worker_timeout * 100})
    async with running_engine(ALL, settings=never) as engine:
        listener = engine.workers[0]._listener
        for n in range(3):
            await asyncio.wait_for(listener.connected.wait(), 10)
            async with engine.runtime.database.connection() as connection:
                await connection.execute("SELECT pg_terminate_backend($1)", listener.backend_pid)
                execution_id = await engine.submit(plan(job(f"a{n}")))
            began = time.monotonic()

            await engine.ended(execution_id)

            assert time.monotonic() - began < 5


async def test_no_job_is_lost_when_all_connections_are_killed(settings):
    async with running_engine(ALL, settings=settings) as engine:
        execution_id = await engine.submit(plan(*(job(str(n), "sleep", params={"seconds": 0.02}) for n in range(200))))
        await engine.wait(execution_id, "job.succeeded")
        for _ in range(3):
            async with engine.runtime.database.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await asyncio.sleep(0.05)  # sleep: some jobs run between the cuts

        execution = await engine.ended(execution_id, timeout=60)

        assert set(statuses(execution).values()) == {"succeeded"}
        ends = [e.job_id for e in await engine.events(execution_id) if e.type == "job.succeeded"]
        assert len(ends) == len(set(ends)) == 200


async def test_a_claim_whose_response_was_lost_is_requeued(settings, monkeypatch):
    monkeypatch.setattr(heartbeat, "_LOST_CLAIM_AFTER", 0.0)
    async with running_engine(ALL, settings=with_short_timeouts(settings), workers=0) as engine:
        worker = await engine.start_worker({"another queue": 1})
        await until(lambda: list_workers(engine.runtime.database))
        execution_id = await engine.submit(plan(job("a")))
        lost = await Claimer(engine.runtime.database, worker.id, worker.name, ["noop"], suspect_from=2).claim("test", 1)
        assert len(lost.jobs) == 1

        back = await engine.wait(execution_id, "job.queued", job="a")

        assert back.data["reason"] == "run not known to its worker"
        async with engine.runtime.database.connection() as connection:
            assert await connection.fetchval("SELECT starts FROM execution_jobs") == 0


async def test_jobs_of_a_dead_worker_are_rescued_by_another(settings, tmp_path):
    gate = tmp_path / "gate"
    async with running_engine(
        ALL, settings=with_short_timeouts(settings, rescue_interval=settings.retry_cap), workers=0
    ) as engine:
        first = await engine.start_worker({"test": 8}, name="first")
        execution_id = await engine.submit(plan(*(job(str(n), "block", params={"until": str(gate)}) for n in range(3))))
        for n in range(3):
            await engine.wait(execution_id, "job.running", job=str(n))
        await engine.kill_worker(first)
        gate.touch()

        await engine.start_worker(name="second")
        execution = await engine.ended(execution_id)

        assert {found.worker for found in execution.jobs} == {"second"}
        events = await engine.events(execution_id)
        assert [e.data.get("reason") for e in events if e.type == "job.queued"] == ["worker lost"] * 3


async def test_concurrent_rescuers_and_schedulers_requeue_each_job_once(idle_engine):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(*(job(str(n)) for n in range(60))))
    await claim_and_die(database, "first", 30)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE execution_jobs SET status = 'scheduled', scheduled_at = now() WHERE status = 'queued'"
        )
    rescuers = [Rescuer(database, new_id(), worker_timeout=10, crash_limit=3) for _ in range(6)]
    schedulers = [Scheduler(database) for _ in range(6)]

    await asyncio.gather(*(r.rescue() for r in rescuers), *(p.release_due() for p in schedulers))
    await asyncio.gather(rescuers[0].rescue(), schedulers[0].release_due())
    await asyncio.gather(rescuers[0].rescue(), schedulers[0].release_due())

    events = [e for e in await idle_engine.events(execution_id) if e.type == "job.queued"]
    assert sorted(e.data["reason"] for e in events) == ["due"] * 30 + ["worker lost"] * 30
    assert len({e.job_id for e in events}) == 60


async def test_starts_of_workers_that_were_only_cut_off_are_no_crash_loop(idle_engine):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(job("a")))
    rescuer = Rescuer(database, new_id(), worker_timeout=10, crash_limit=3)
    for n in range(5):
        (lost,) = await claim_and_die(database, f"cut off {n}", 1)
        await rescuer.rescue()
        await database.retry(partial(record_discarded_run, job=lost), transaction=True)

    _, owner = await claimer(database, "owner")
    (claimed,) = (await owner.claim("test", 1)).jobs
    assert (claimed.epoch, claimed.starts) == (6, 1)
    assert (await idle_engine.execution(execution_id)).status == "running"


@pytest.mark.parametrize("status", ["succeeded", "failed", "queued", "scheduled"])
async def test_a_late_outcome_of_a_lost_run_is_ignored(idle_engine, status):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(job("a"), job("b", after=["a"])))
    (lost,) = await claim_and_die(database, "lost", 1)
    await Rescuer(database, new_id(), worker_timeout=10, crash_limit=3).rescue()

    async def late():
        before = await idle_engine.events(execution_id)
        outcome = Outcome(lost.id, lost.execution_id, lost.epoch, JobStatus(status), result='{"value": "late"}')
        async with database.transaction() as connection:
            assert not await complete(connection, [outcome])
        assert await idle_engine.events(execution_id) == before

    await late()
    _, owner = await claimer(database, "owner")
    await owner.claim("test", 1)
    await late()
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT status, epoch, worker_name FROM execution_jobs WHERE job_id = 'a'")
    assert tuple(row) == ("running", 2, "owner")


async def test_a_stopping_worker_releases_its_jobs(idle_engine, tmp_path):
    gate = tmp_path / "gate"
    worker = await idle_engine.start_worker({"test": 4})
    execution_id = await idle_engine.submit(
        plan(*(job(str(n), "block", params={"until": str(gate)}) for n in range(3)), job("rest", after=["0"]))
    )
    for n in range(3):
        await idle_engine.wait(execution_id, "job.running", job=str(n))

    await idle_engine.stop_worker(worker)

    async with idle_engine.runtime.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT status, starts, attempts FROM execution_jobs WHERE pending_dependencies = 0"
        )
        assert {tuple(row) for row in rows} == {("queued", 0, 0)}
        assert await connection.fetchval("SELECT count(*) FROM workers") == 0
    gate.touch()
    await idle_engine.start_worker()
    assert (await idle_engine.ended(execution_id)).status == "succeeded"


async def test_a_worker_that_stops_during_a_claim_releases_the_jobs(idle_engine):
    execution_id = await idle_engine.submit(plan(*(job(str(n), "sleep", params={"seconds": 20}) for n in range(40))))
    for _ in range(8):
        worker = await idle_engine.start_worker({"test": 10})
        await asyncio.sleep(0)
        await idle_engine.stop_worker(worker)

    async with idle_engine.runtime.database.connection() as connection:
        rows = await connection.fetch("SELECT DISTINCT status, starts FROM execution_jobs")
    assert {tuple(row) for row in rows} == {("queued", 0)}
    await idle_engine.cancel(execution_id)


async def test_a_worker_unregistered_by_mistake_registers_again(settings):
    async with running_engine(ALL, settings=with_short_timeouts(settings)) as engine:
        worker = engine.workers[0]
        await engine.run(plan(job("warm")))
        async with engine.runtime.database.connection() as connection:
            await sql.unregister_worker(connection, id=worker.id)

        await until(lambda: list_workers(engine.runtime.database))
        assert (await engine.run(plan(job("a")))).status == "succeeded"


async def test_event_numbers_have_no_gap_under_concurrent_writes(idle_engine):
    for n in range(3):
        await idle_engine.start_worker({"test": 8}, name=f"worker {n}")
    execution_id = await idle_engine.submit(
        plan(*(job(str(n), "report-progress", params={"reports": 30, "pause": 0.01}) for n in range(30)))
    )

    seen = [event.number async for event in idle_engine.runtime.event_stream.follow(execution_id)]

    assert seen == list(range(1, len(seen) + 1))
    events = await idle_engine.events(execution_id)
    assert [e.number for e in events] == seen
    progress = [e for e in events if e.type == "job.progress"]
    assert 30 <= len(progress) < 900 / 2  # far fewer than the 900 reports, however slow the machine is


async def test_a_subscriber_continues_where_it_stopped(engine):
    execution = await engine.run(plan(job("a"), job("b", after=["a"])))
    follow = engine.runtime.event_stream.follow

    everything = [event async for event in follow(execution.execution_id)]
    rest = [event async for event in follow(execution.execution_id, after=4)]

    assert rest == everything[4:]
    assert everything[-1].type == "execution.succeeded"


async def test_an_unreachable_storage_fails_the_job_and_records_no_artifact(settings):
    unreachable = settings.model_copy(
        update={
            "s3_bucket": "films",
            "s3_endpoint": "http://127.0.0.1:9",
            "s3_access_key": SecretStr("key"),
            "s3_secret_key": SecretStr("secret"),
            "allow_http": True,
            "storage_outage_timeout": timedelta(seconds=1),
        }
    )
    async with running_engine(ALL, settings=unreachable) as engine:
        execution = await engine.run(plan(job("a", "write", retries=1, timeout=60)), timeout=90)

        assert execution.jobs[0].error.code == "storage_unreachable"
        assert execution.jobs[0].attempts == 2
        assert execution.artifacts == []


async def test_a_job_with_the_park_policy_fails_when_it_is_rescued(idle_engine):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(job("paid")))
    async with database.connection() as connection:
        await connection.execute("UPDATE execution_jobs SET on_worker_lost = 'park'")
    await claim_and_die(database, "first", 1)

    await Rescuer(database, new_id(), worker_timeout=10, crash_limit=3).rescue()

    execution = await idle_engine.ended(execution_id)
    assert execution.jobs[0].error.code == "outcome_unknown"


async def test_a_worker_that_was_disconnected_does_not_declare_others_lost(idle_engine):
    database = idle_engine.runtime.database
    await idle_engine.submit(plan(job("a")))
    other, claims = await claimer(database, "other")
    me, _ = await claimer(database, "me")
    assert (await claims.claim("test", 1)).jobs
    async with database.connection() as connection:
        # The database was down for a minute. Afterwards this worker sends its heartbeat a moment before the other.
        await connection.execute(
            "UPDATE workers SET heartbeat_at = now() - interval '1 minute', healthy_since = heartbeat_at"
        )
        await sql.heartbeat(connection, id=me, stopping=False, timeout=0.1)
        await connection.execute("SELECT pg_sleep(0.01)")

        lost = await sql.mark_lost_workers(connection, worker_id=me, timeout=5)
        assert [row["id"] for row in lost] == []
        lost = await sql.mark_lost_workers(connection, worker_id=me, timeout=0.005)
        assert [row["id"] for row in lost] == [other]


async def test_suspects_run_one_at_a_time(settings, tmp_path):
    gate = tmp_path / "gate"
    jobs = [job(str(n), "block", params={"until": str(gate)}) for n in range(3)]
    async with running_engine(ALL, settings=with_short_timeouts(settings), workers=0) as engine:
        execution_id = await engine.submit(plan(*jobs))
        async with engine.runtime.database.connection() as connection:
            await connection.execute("UPDATE execution_jobs SET starts = 2")
        worker = await engine.start_worker({"test": 8})

        await engine.wait(execution_id, "job.running")
        await until(lambda: worker.running == 1)
        await worker._poll()

        assert worker.running == 1
        gate.touch()
        while worker.running:
            await worker._lanes["test"].wait_drained()
            await worker._poll()
        assert set(statuses(await engine.ended(execution_id)).values()) == {"succeeded"}
