"""Workers whose operations block them, and supervised workers that are stopped by a signal."""

import signal
import sys
from pathlib import Path

import blocking_operations
import psutil
import pytest

from callsheet.operation_api.catalog import Catalog
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

SUPERVISED = [
    *(sys.executable, "-m", "callsheet", "worker", "--import", "callsheet.testing.operations"),
    *("--import", str(Path(__file__).with_name("blocking_operations.py"))),
]


@pytest.fixture
def catalog():
    return Catalog([*ALL, blocking_operations.block_loop, blocking_operations.hold_interpreter])


@pytest.fixture
def start_supervised(start, settings, tmp_path):
    """Start `callsheet worker`; its log is `<name>.log`."""
    files = []

    def start_one(name):
        files.append((tmp_path / f"{name}.log").open("w"))
        return start(settings, name, program=SUPERVISED, stderr=files[-1], CALLSHEET_LANES="test=4")

    yield start_one
    for file in files:
        file.close()


def blocking(operation, seconds, folder, **more):
    params = {"seconds": seconds, "starts": str(folder / "starts")}
    return {"jobs": [{"id": "a", "operation": operation, "params": params, **more}]}


def starts(folder):
    file = folder / "starts"
    return len(file.read_text().splitlines()) if file.exists() else 0


async def types_of(engine, execution_id):
    return [event.type for event in await engine.events(execution_id, job="a")]


@pytest.mark.parametrize("operation", ["block-loop", "hold-interpreter"])
async def test_a_job_that_blocks_its_worker_beyond_the_heartbeat_timeout_runs_once(
    engine, settings, start, start_supervised, tmp_path, operation
):
    first = start_supervised("first")
    seconds = 2 * settings.worker_timeout.total_seconds()
    execution_id = await engine.submit(blocking(operation, seconds, tmp_path))
    await until(lambda: starts(tmp_path), timeout=60)
    start(settings, "second").ready()  # does not know the operation, but would rescue the job

    execution = await engine.ended(execution_id, timeout=60)

    assert execution.status == "succeeded"
    assert await types_of(engine, execution_id) == ["job.running", "job.succeeded"]
    assert starts(tmp_path) == 1
    first.signal(signal.SIGTERM)
    first.process.wait(30)
    log = (tmp_path / "first.log").read_text()
    assert operation in log
    if operation == "block-loop":
        assert log.count("an operation blocks the event loop") == 1
        assert "time.sleep(params.seconds)" in log


async def test_a_job_that_blocks_its_worker_beyond_its_time_limit_fails_and_the_worker_restarts(
    engine, start_supervised, tmp_path
):
    start_supervised("first")
    execution_id = await engine.submit(blocking("block-loop", 3600, tmp_path, timeout=1))

    execution = await engine.ended(execution_id, timeout=90)

    assert execution.jobs[0].error.code == "timed_out"
    assert "blocked the event loop" in execution.jobs[0].error.message
    assert starts(tmp_path) == 1
    again = await engine.run({"jobs": [{"id": "b", "operation": "noop"}]}, timeout=60)
    assert again.status == "succeeded"


def child_of(worker):
    (child,) = psutil.Process(worker.process.pid).children()
    return child


@pytest.mark.parametrize("stopped", ["child", "both", "parent"])
async def test_a_stopped_supervised_worker_loses_its_job_unless_only_the_supervisor_is_stopped(
    engine, settings, start, start_supervised, tmp_path, stopped
):
    gate, started = tmp_path / "gate", tmp_path / "started"
    params = {"until": str(gate), "started": str(started)}
    first = start_supervised("first")
    execution_id = await engine.submit({"jobs": [{"id": "a", "operation": "block", "params": params}]})
    await until(started.exists, timeout=60)
    child = child_of(first)
    start(settings, "second").ready()
    try:
        if stopped != "child":
            first.signal(signal.SIGSTOP)
        if stopped != "parent":
            child.suspend()
            await until(lambda: len(started.read_text().split()) == 2, timeout=60)
        else:
            await until_heartbeats(engine, settings)
        gate.touch()
        execution = await engine.ended(execution_id, timeout=60)
    finally:
        first.signal(signal.SIGCONT)
        child.resume()

    assert execution.status == "succeeded"
    assert execution.jobs[0].worker == ("first" if stopped == "parent" else "second")
    if stopped != "parent":
        late = await engine.wait(execution_id, "job.log", job="a", timeout=60)
        assert "Its outcome is discarded" in late.data["message"]


async def until_heartbeats(engine, settings):
    """Wait until the first worker has sent heartbeats for longer than the timeout of a worker."""
    query = "SELECT heartbeat_at - $1 > $2 FROM workers WHERE name = 'first'"
    async with engine.runtime.database.connection() as connection:
        now = await connection.fetchval("SELECT clock_timestamp()")
        await until(lambda: connection.fetchval(query, now, 2 * settings.worker_timeout), timeout=60)
