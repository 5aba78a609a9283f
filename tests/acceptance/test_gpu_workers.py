"""`callsheet worker --gpus`: one worker process for each GPU, with a real supervisor and a script as `nvidia-smi`."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import growing_operations
import pytest
from processes import as_environment

from callsheet.engine.reads.workers import list_workers
from callsheet.operation_api.catalog import Catalog
from callsheet.testing.waiters import until

UUIDS = ("GPU-8c2b6f30-5d4f-0f27-9d5b-6c8e7a1f2b3c", "GPU-1f0a9f1e-77aa-4a0e-8c55-0d9d0c4be0aa")
WORKER = [
    *(sys.executable, "-m", "callsheet", "worker"),
    *("--import", str(Path(__file__).with_name("growing_operations.py"))),
]


@pytest.fixture
def catalog():
    return Catalog([growing_operations.see_gpu])


@pytest.fixture
def path_with_gpus(tmp_path):
    """A PATH on which nvidia-smi lists two GPUs."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    lines = [f"{index}, {uuid}, NVIDIA L40S" for index, uuid in enumerate(UUIDS)]
    program.write_text("#!/bin/sh\ncat <<'EOF'\n" + "\n".join(lines) + "\nEOF\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


async def test_each_gpu_has_a_worker_process_of_its_own_with_one_slot(
    engine, settings, start, path_with_gpus, tmp_path
):
    gate = tmp_path / "gate"
    with (tmp_path / "studio.log").open("w") as log:
        worker = start(
            settings, "studio", program=[*WORKER, "--gpus", "all"], stderr=log, PATH=path_with_gpus,
            CALLSHEET_LANES="gpu=4,default=8",
        )  # fmt: skip
        jobs = [{"id": f"j{n}", "operation": "see-gpu", "params": {"until": str(gate)}} for n in range(4)]
        execution_id = await engine.submit({"jobs": jobs})

        async def both_run():
            return sum(each.running for each in await list_workers(engine.runtime.database)) == 2

        await until(both_run, timeout=300)
        workers = await list_workers(engine.runtime.database)
        gate.touch()
        execution = await engine.ended(execution_id, timeout=300)
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.process.wait, 300) == 0

    assert [(each.name, each.lanes) for each in workers] == [("studio-gpu0", {"gpu": 1}), ("studio-gpu1", {"gpu": 1})]
    assert execution.status == "succeeded"
    assert {job.result["visible"] for job in execution.jobs} == set(UUIDS)
    assert {job.result["atOnce"] for job in execution.jobs} == {1}
    by_worker = {(job.worker, job.result["visible"]) for job in execution.jobs}
    assert by_worker == {("studio-gpu0", UUIDS[0]), ("studio-gpu1", UUIDS[1])}
    assert await list_workers(engine.runtime.database) == []


@pytest.mark.parametrize(
    ("options", "status", "error"),
    [
        (["--gpus", "all"], 2, "There is no GPU: the program nvidia-smi of the NVIDIA driver is not on the PATH."),
        (["--gpus", "0", "--no-supervise"], 2, "needs the supervisor: leave out --no-supervise"),
        (["--max-memory", "much"], 2, "'much' is not a size: write bytes, or '512MB', '4GB', '1.5GiB'"),
        (["--max-jobs", "0"], 2, "Invalid value for '--max-jobs'"),
    ],
)
def test_options_that_do_not_fit_are_refused(settings, tmp_path, options, status, error):
    env = {**os.environ, **as_environment(settings), "PATH": str(tmp_path), "COLUMNS": "300"}

    done = subprocess.run([*WORKER, *options], env=env, capture_output=True, text=True, timeout=300)

    assert done.returncode == status
    assert error in done.stderr
