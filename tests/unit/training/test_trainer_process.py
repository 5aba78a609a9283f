"""The processes of a trainer end with its run, in every case."""

import asyncio
import json
import sys

import pytest
from tests.support import fake_trainer
from tests.support.ended import all_end

from callsheet.domain.errors import TrainerFailed
from callsheet.training.commands import Command
from callsheet.training.trainer_process import run_command

RUN = """
import asyncio, json, sys
from callsheet.training.commands import Command
from callsheet.training.trainer_process import run_command
asyncio.run(run_command(Command("training", tuple(json.loads(sys.argv[1])), None), print))
"""


@pytest.fixture
def command(tmp_path):
    python = fake_trainer.install(tmp_path / "fake", child=True, pause_at=1)
    (tmp_path / "out").mkdir()
    return (str(python), "train.py", "--output_dir", str(tmp_path / "out"), "--output_name", "face")


async def started(tmp_path):
    """Wait for the processes of the fake trainer, and return their ids."""
    path = tmp_path / "fake/pids"
    async with asyncio.timeout(20):
        while not path.exists():  # noqa: ASYNC110 - another process creates it
            await asyncio.sleep(0.01)
    return [int(pid) for pid in path.read_text().split()]


async def test_a_cancelled_trainer_leaves_no_process(tmp_path, command):
    running = asyncio.create_task(run_command(Command("training", command, None), lambda line: None))
    processes = await started(tmp_path)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await all_end(processes)


async def test_a_killed_worker_leaves_no_process_of_its_trainer(tmp_path, command):
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, json.dumps(command))
    processes = await started(tmp_path)
    worker.kill()
    await worker.wait()
    assert await all_end(processes)


async def test_processes_that_a_trainer_leaves_behind_are_killed(tmp_path, command):
    fake_trainer.behave(tmp_path / "fake", child=True, steps=1)
    await run_command(Command("training", command, None), lambda line: None)
    assert await all_end(await started(tmp_path))


async def test_output_of_both_pipes_arrives_line_by_line(tmp_path, command):
    fake_trainer.behave(tmp_path / "fake", steps=2)
    lines = []
    await run_command(Command("training", command, None), lines.append)
    assert {"loading the model", "a warning"} < set(lines)
    assert lines[-1].endswith("avr_loss=0.5000]")


async def test_a_failing_trainer_reports_its_exit_status(tmp_path, command):
    fake_trainer.behave(tmp_path / "fake", fail_at=1)
    with pytest.raises(TrainerFailed, match="exit status 1"):
        await run_command(Command("training", command, None), lambda line: None)


async def test_a_trainer_that_cannot_be_started_is_named(tmp_path):
    lines = []
    with pytest.raises(TrainerFailed):
        await run_command(Command("training", (str(tmp_path / "none"),), None), lines.append)
    assert lines == [f"{tmp_path}/none cannot be started: No such file or directory"]
