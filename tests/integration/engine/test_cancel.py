"""Cancelling, in every status a job can be in."""

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest
from plans import job, plan, statuses

from callsheet.domain.errors import InvalidState
from callsheet.domain.model import Model
from callsheet.operation.contract import operation
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until


class Nothing(Model):
    pass


async def appears(path, seconds=10):
    await until(lambda: path.exists() and path.read_text().endswith("\n"), timeout=seconds)
    return path.read_text().split()


async def test_what_has_not_begun_is_cancelled_at_once(idle_engine):
    execution_id = await idle_engine.submit(plan(job("ready"), job("later", after=["ready"])))

    await idle_engine.cancel(execution_id)

    execution = await idle_engine.ended(execution_id)
    assert execution.status == "cancelled"
    assert statuses(execution) == {"ready": "cancelled", "later": "cancelled"}


async def test_a_job_that_waits_for_its_next_attempt_is_cancelled_at_once(settings):
    slow = settings.model_copy(update={"retry_base": settings.retry_cap * 1000, "retry_cap": settings.retry_cap * 1000})
    async with running_engine(ALL, settings=slow) as engine:
        execution_id = await engine.submit(plan(job("a", "fail", params={"transient": True})))
        await engine.wait(execution_id, "job.scheduled")

        await engine.cancel(execution_id)

        assert statuses(await engine.ended(execution_id)) == {"a": "cancelled"}


async def test_a_running_subprocess_is_dead_within_a_second(engine, tmp_path):
    pid_file = tmp_path / "pid"
    execution_id = await engine.submit(plan(job("a", "child", params={"pidFile": str(pid_file)})))
    pid = int((await appears(pid_file))[0])
    began = time.monotonic()

    await engine.cancel(execution_id)

    while psutil.pid_exists(pid):
        assert time.monotonic() - began < 5, "the child process lives on"
        await asyncio.sleep(0.005)
    print(f"dead after {time.monotonic() - began:.3f} s")
    assert time.monotonic() - began < 1
    execution = await engine.ended(execution_id)
    assert execution.status == "cancelled"
    assert execution.jobs[0].error is None


async def test_cancelling_one_job_skips_what_is_downstream_of_it(idle_engine):
    execution_id = await idle_engine.submit(plan(job("a"), job("b", after=["a"]), job("c")))

    await idle_engine.cancel(execution_id, job="a")
    await idle_engine.start_worker()

    execution = await idle_engine.ended(execution_id)
    assert execution.status == "cancelled"
    assert statuses(execution) == {"a": "cancelled", "b": "skipped", "c": "succeeded"}


async def test_a_result_that_comes_after_the_cancel_changes_nothing_and_leaves_no_file(settings, tmp_path):
    async with running_engine(ALL, settings=settings) as engine:
        go = tmp_path / "go"
        params = {"waitFor": str(go), "started": str(tmp_path / "started")}
        execution_id = await engine.submit(plan(job("a", "write", params=params)))
        await appears(tmp_path / "started")
        engine.workers[0]._heartbeat_now.set = lambda: None  # it is not told of the cancel

        await engine.cancel(execution_id)
        go.touch()

        execution = await engine.ended(execution_id)
        assert statuses(execution) == {"a": "cancelled"}
        assert execution.jobs[0].result is None
        assert execution.artifacts == []
    assert [path for path in settings.files_dir.rglob("*") if path.is_file()] == []


async def test_a_cancel_in_the_middle_of_a_claim_is_not_lost(idle_engine):
    for _ in range(15):
        execution_id = await idle_engine.submit(plan(*(job(str(n), "sleep", params={"seconds": 30}) for n in range(8))))
        worker = await idle_engine.start_worker({"test": 16})
        await idle_engine.cancel(execution_id)

        execution = await idle_engine.ended(execution_id, timeout=20)

        assert execution.status == "cancelled"
        assert set(statuses(execution).values()) == {"cancelled"}
        await idle_engine.stop_worker(worker)


async def test_what_has_ended_cannot_be_cancelled_and_a_second_cancel_is_fine(engine):
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


async def test_a_clean_up_that_takes_longer_than_a_beat_is_not_broken_into(settings, tmp_path):
    @operation("tidy", queue="test")
    async def tidy(job, params: Nothing) -> Nothing:
        try:
            (tmp_path / "started").write_text(f"{os.getpid()}\n")
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.5)
            (tmp_path / "tidied").touch()
        return Nothing()

    often = settings.model_copy(update={"heartbeat_interval": settings.schedule_interval})
    async with running_engine([tidy], settings=often) as engine:
        execution_id = await engine.submit(plan(job("a", "tidy")))
        await appears(Path(tmp_path / "started"))
        await engine.cancel(execution_id)
        assert (await engine.ended(execution_id)).status == "cancelled"

    assert (tmp_path / "tidied").exists()
