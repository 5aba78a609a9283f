"""Worker processes that are replaced, or end after their jobs: no job is lost, repeated or interrupted."""

import asyncio
import signal
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import growing_operations
import psutil
import pytest

from callsheet.engine.fleet.worker_lanes import reset_lanes, set_lanes
from callsheet.engine.reads.workers import list_workers
from callsheet.operation_api.catalog import Catalog
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

SUPERVISED = [
    *(sys.executable, "-m", "callsheet", "worker", "--queues", "test,other"),
    *("--import", str(Path(__file__).with_name("growing_operations.py")), "--import", "callsheet.testing.operations"),
]

_LONG = 300
"""Seconds. On a busy machine each process takes 20 s to start."""


@pytest.fixture
def settings(settings):
    """A busy machine must not make a worker look lost: then its jobs would run twice."""
    return settings.model_copy(update={"worker_timeout": timedelta(seconds=60)})


@pytest.fixture
def catalog():
    return Catalog([*ALL, growing_operations.grow, growing_operations.grow_elsewhere])


@pytest.fixture
def start_supervised(start, settings, tmp_path):
    """Start `callsheet worker` with these options; its log is `<name>.log`."""
    files = []

    def start_one(name, *options, lanes="test=4,other=1"):
        files.append((tmp_path / f"{name}.log").open("w"))
        return start(settings, name, program=[*SUPERVISED, *options], stderr=files[-1], CALLSHEET_LANES=lanes)

    yield start_one
    for file in files:
        file.close()


def growing(folder, *ids, operation="grow", **params):
    ledger = str(folder / "ledger")
    return {"jobs": [{"id": id, "operation": operation, "params": {"ledger": ledger, **params}} for id in ids]}


def runs(folder):
    """Return the process of each run, in their order."""
    file = folder / "ledger"
    return file.read_text().split() if file.exists() else []


async def events_of(engine, execution_id, type):
    return [event for event in await engine.events(execution_id) if event.type == type]


async def live(engine):
    return [worker for worker in await list_workers(engine.runtime.database) if worker.status != "lost"]


async def test_worker_processes_that_are_replaced_after_ten_jobs_run_each_job_once(engine, start_supervised, tmp_path):
    worker = start_supervised("studio", "--max-jobs", "10")

    execution = await engine.run(growing(tmp_path, *(f"j{n}" for n in range(60))), timeout=_LONG)

    assert execution.status == "succeeded"
    assert sorted(Counter(runs(tmp_path)).values()) == [10] * 6
    assert len(await events_of(engine, execution.execution_id, "job.succeeded")) == 60
    assert await events_of(engine, execution.execution_id, "job.queued") == []
    assert {job.attempts for job in execution.jobs} == {0}
    assert {job.worker for job in execution.jobs} == {"studio"}
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.process.wait, _LONG) == 0


async def test_a_worker_process_that_has_grown_is_replaced(engine, start_supervised, tmp_path):
    start_supervised("studio", "--max-memory", "400MB", lanes="test=1,other=1")

    execution = await engine.run(growing(tmp_path, "a", "b", "c", megabytes=300), timeout=_LONG)
    again = await engine.run(growing(tmp_path, "last"), timeout=_LONG)

    assert (execution.status, again.status) == ("succeeded", "succeeded")
    assert len(set(runs(tmp_path))) >= 2
    log = (tmp_path / "studio.log").read_text()
    assert "MB of memory, more than 400 MB" in log
    assert "worker process died" not in log


async def test_a_long_job_ends_in_its_process_while_the_successor_claims_with_the_other_slots(
    engine, settings, start_supervised, tmp_path
):
    gate = tmp_path / "gate"
    start_supervised("studio", "--max-jobs", "1", lanes="test=1,other=1")
    long = await engine.submit(growing(tmp_path, "long", until=str(gate)))
    await until(lambda: runs(tmp_path), timeout=_LONG)

    behind = await engine.submit(growing(tmp_path, "behind"))
    other = await engine.run(growing(tmp_path, "other", operation="grow-elsewhere"), timeout=_LONG)

    assert other.status == "succeeded"
    # The only slot of the lane is still in use. The first process runs longer than the grace period.
    await asyncio.sleep(settings.grace_period.total_seconds())  # sleep: nothing may start meanwhile
    assert (await engine.job(behind, "behind")).status == "queued"
    assert len(set(runs(tmp_path))) == 2
    gate.touch()
    assert (await engine.ended(behind, timeout=_LONG)).status == "succeeded"
    execution = await engine.ended(long, timeout=_LONG)
    assert (execution.status, execution.jobs[0].attempts) == ("succeeded", 0)
    assert await events_of(engine, long, "job.queued") == []


async def test_a_leaving_process_that_is_killed_loses_its_job_to_its_successor(engine, start_supervised, tmp_path):
    gate = tmp_path / "gate"
    start_supervised("studio", "--max-jobs", "1")
    execution_id = await engine.submit(growing(tmp_path, "long", until=str(gate)))
    await until(lambda: runs(tmp_path), timeout=_LONG)
    await engine.run(growing(tmp_path, "other", operation="grow-elsewhere"), timeout=_LONG)

    psutil.Process(int(runs(tmp_path)[0])).kill()
    await engine.wait(execution_id, "job.queued", job="long", timeout=_LONG)
    gate.touch()

    assert (await engine.ended(execution_id, timeout=_LONG)).status == "succeeded"


async def test_a_signal_replaces_the_process_and_another_one_lets_it_end_after_its_jobs(
    engine, start_supervised, tmp_path
):
    gate = tmp_path / "gate"
    worker = start_supervised("studio")
    first = await engine.run(growing(tmp_path, "first"), timeout=_LONG)
    worker.signal(signal.SIGUSR2)
    await until(lambda: "makes room for its successor" in (tmp_path / "studio.log").read_text(), timeout=_LONG)
    execution_id = await engine.submit(growing(tmp_path, "second", until=str(gate)))
    await until(lambda: len(set(runs(tmp_path))) == 2, timeout=_LONG)

    worker.signal(signal.SIGUSR1)

    async def is_stopping():
        return [each.status for each in await live(engine)] == ["stopping"]

    await until(is_stopping, timeout=_LONG)
    waiting = await engine.submit(growing(tmp_path, "third"))
    gate.touch()
    assert await asyncio.to_thread(worker.process.wait, _LONG) == 0
    assert first.status == (await engine.ended(execution_id)).status == "succeeded"
    assert (await engine.job(waiting, "third")).status == "queued"


async def test_lanes_set_by_hand_survive_their_worker_until_they_are_reset(engine, start_supervised, tmp_path):
    database = engine.runtime.database
    worker = start_supervised("studio")
    await engine.run(growing(tmp_path, "a"), timeout=_LONG)
    (record,) = await live(engine)
    await set_lanes(database, record.id, {"test": 0, "other": 3})
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.process.wait, _LONG) == 0

    start_supervised("studio")
    waiting = await engine.submit(growing(tmp_path, "b"))
    other = await engine.run(growing(tmp_path, "c", operation="grow-elsewhere"), timeout=_LONG)

    (record,) = await live(engine)
    assert other.status == "succeeded"
    assert (record.lanes, record.configured_lanes) == ({"test": 0, "other": 3}, {"test": 4, "other": 1})
    assert (await engine.job(waiting, "b")).status == "queued"
    assert (await reset_lanes(database, record.id)).lanes == {"test": 4, "other": 1}
    assert (await engine.ended(waiting, timeout=_LONG)).status == "succeeded"
