"""Cancel jobs in every status."""

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest
from plans import job, plan, statuses

from callsheet.domain.errors import InvalidState
from callsheet.domain.model import Model
from callsheet.operation_api.contract import operation
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until


class Empty(Model):
    pass


async def appears(path, seconds=10):
    await until(lambda: path.exists() and path.read_text().endswith("\n"), timeout=seconds)
    return path.read_text().split()


async def test_jobs_that_have_not_started_are_cancelled_at_once(idle_engine):
    execution_id = await idle_engine.submit(plan(job("ready"), job("later", after=["ready"])))

    await idle_engine.cancel(execution_id)

    execution = await idle_engine.ended(execution_id)
    assert execution.status == "cancelled"
    assert statuses(execution) == {"ready": "cancelled", "later": "cancelled"}


async def test_a_scheduled_job_is_cancelled_at_once(settings):
    slow = settings.model_copy(update={"retry_base": settings.retry_cap * 1000, "retry_cap": settings.retry_cap * 1000})
    async with running_engine(ALL, settings=slow) as engine:
        execution_id = await engine.submit(plan(job("a", "fail", params={"transient": True})))
        await engine.wait(execution_id, "job.scheduled")

        await engine.cancel(execution_id)

        assert statuses(await engine.ended(execution_id)) == {"a": "cancelled"}


async def test_a_running_subprocess_is_killed_within_a_second(engine, tmp_path):
    pid_file = tmp_path / "pid"
    execution_id = await engine.submit(plan(job("a", "child", params={"pidFile": str(pid_file)})))
    pid = int((await appears(pid_file))[0])
    started = time.monotonic()

    await engine.cancel(execution_id)

    while psutil.pid_exists(pid):
        assert time.monotonic() - started < 5, "the child process is still running"
        await asyncio.sleep(0.005)
    print(f"dead after {time.monotonic() - started:.3f} s")
    assert time.monotonic() - started < 1
    execution = await engine.ended(execution_id)
    assert execution.status == "cancelled"
    assert execution.jobs[0].error is None


async def test_cancelling_one_job_skips_its_downstream_jobs(idle_engine):
    execution_id = await idle_engine.submit(plan(job("a"), job("b", after=["a"]), job("c")))

    await idle_engine.cancel(execution_id, job="a")
    await idle_engine.start_worker()

    execution = await idle_engine.ended(execution_id)
    assert execution.status == "cancelled"
    assert statuses(execution) == {"a": "cancelled", "b": "skipped", "c": "succeeded"}


async def test_a_result_after_a_cancel_is_discarded_with_its_files(settings, tmp_path):
    async with running_engine(ALL, settings=settings) as engine:
        go = tmp_path / "go"
        params = {"waitFor": str(go), "started": str(tmp_path / "started")}
        execution_id = await engine.submit(plan(job("a", "write", params=params)))
        await appears(tmp_path / "started")
        engine.workers[0]._heartbeat_thread.send_now = lambda: None  # the worker does not receive the cancel

        await engine.cancel(execution_id)
        go.touch()

        execution = await engine.ended(execution_id)
        assert statuses(execution) == {"a": "cancelled"}
        assert execution.jobs[0].result is None
        assert execution.artifacts == []
    assert [path for path in settings.files_dir.rglob("*") if path.is_file()] == []


async def test_a_cancel_during_a_claim_is_not_lost(idle_engine):
    for _ in range(15):
        execution_id = await idle_engine.submit(plan(*(job(str(n), "sleep", params={"seconds": 30}) for n in range(8))))
        worker = await idle_engine.start_worker({"test": 16})
        await idle_engine.cancel(execution_id)

        execution = await idle_engine.ended(execution_id, timeout=20)

        assert execution.status == "cancelled"
        assert set(statuses(execution).values()) == {"cancelled"}
        await idle_engine.stop_worker(worker)


async def test_ended_jobs_cannot_be_cancelled_and_a_repeated_cancel_has_no_effect(engine):
    done = await engine.run(plan(job("a")))
    with pytest.raises(InvalidState):
        await engine.cancel(done.execution_id)
    with pytest.raises(InvalidState):
        await engine.cancel(done.execution_id, job="a")

    other = await engine.submit(plan(job("a", "sleep", params={"seconds": 30})))
    await engine.cancel(other)
    await engine.ended(other)
    await engine.cancel(other)
    await engine.cancel(other, job="a")


async def test_clean_up_longer_than_a_heartbeat_is_not_interrupted(settings, tmp_path):
    @operation("clean-up", queue="test")
    async def clean_up(job, params: Empty) -> Empty:
        try:
            (tmp_path / "started").write_text(f"{os.getpid()}\n")
            await asyncio.sleep(60)  # sleep: until it is cancelled
        finally:
            await asyncio.sleep(0.5)  # sleep: longer than a heartbeat
            (tmp_path / "cleaned").touch()
        return Empty()

    frequent = settings.model_copy(update={"heartbeat_interval": settings.schedule_interval})
    async with running_engine([clean_up], settings=frequent) as engine:
        execution_id = await engine.submit(plan(job("a", "clean-up")))
        await appears(Path(tmp_path / "started"))
        await engine.cancel(execution_id)
        assert (await engine.ended(execution_id)).status == "cancelled"

    assert (tmp_path / "cleaned").exists()
