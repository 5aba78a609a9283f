"""Workers keep the disk of their machine clean, and never touch what a running job uses."""

import os
import sys
import time
from asyncio import create_subprocess_exec
from datetime import timedelta
from pathlib import Path

import pytest

from callsheet.domain.model import Model
from callsheet.engine.retention.disk import clean_disk, request_disk_clean_ups
from callsheet.files.disk_clean_up import clean_up_disk, survey_disk
from callsheet.operation_api.contract import operation
from callsheet.operations.clean_up_disk import clean_up_disk as clean_up_operation
from callsheet.testing.engine import running_engine
from callsheet.testing.waiters import until

MONTH = 30 * 86400
HOLDER = """
import sys
from pathlib import Path
from callsheet.files.scratch_folders import own_scratch_folder
folder = own_scratch_folder(Path(sys.argv[1]))
(folder / "film.mp4").write_bytes(bytes(100_000))
print(folder, flush=True)
sys.stdin.read()
"""


class WorkParams(Model):
    gate: str


class Work(Model):
    folder: str
    text: str


@operation("work", queue="render", timeout=timedelta(minutes=2))
async def work(job, params: WorkParams) -> Work:
    """Write a file, and read it again after a while."""
    path = job.dir / "film.mp4"
    path.write_text("a film")
    job.progress(0.5, "written")
    await until(lambda: Path(params.gate).exists(), timeout=90)
    return Work(folder=str(job.dir), text=path.read_text())


@pytest.fixture
def shared(tmp_path):
    """A folder that others use too, such as /tmp."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
async def engine(settings, shared):
    limits = {"work_dir": shared, "temp_max_bytes": 0, "temp_max_age": timedelta(hours=1)}
    async with running_engine([work, clean_up_operation], settings=settings.model_copy(update=limits)) as engine:
        yield engine


def age(folder, seconds=MONTH):
    """Make everything in a folder older."""
    at = time.time() - seconds
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (at, at), follow_symlinks=False)


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(10_000))
    return path


def is_missing(path):
    return not path.exists()


async def figures(engine):
    """Return what the first clean-up of the worker, or a later one, has recorded."""

    async def read():
        async with engine.runtime.database.connection() as connection:
            return await connection.fetchrow("SELECT * FROM scratch_spaces")

    return dict(await until(read, timeout=60))


async def test_the_folder_of_a_running_job_stays_though_it_is_old_and_over_the_maximum(engine, shared, tmp_path):
    settings, gate = engine.runtime.settings, tmp_path / "gate"
    execution_id = await engine.submit({"jobs": [{"id": "a", "operation": "work", "params": {"gate": str(gate)}}]})
    await engine.wait(execution_id, "job.progress", job="a")
    left = put(settings.scratch_dir / "left" / "part.mp4")
    age(shared)

    found = survey_disk(settings)
    assert [entry.path for entry in found.removable] == [left.parent]
    await clean_disk(engine.runtime.database, settings)
    second = await engine.start_worker()
    await engine.stop_worker(second)
    assert not left.exists()
    gate.touch()
    execution = await engine.ended(execution_id)

    assert execution.status == "succeeded", execution.jobs[0].error
    result = execution.jobs[0].result
    assert result["text"] == "a film"
    assert Path(result["folder"]).parent.parent == settings.scratch_dir


async def test_in_a_shared_folder_only_the_own_files_go(engine, shared, settings):
    own = put(engine.runtime.settings.scratch_dir / "left" / "part.mp4")
    other_data = settings.model_copy(update={"data_dir": settings.data_dir / "other", "work_dir": shared})
    others = [
        put(other_data.scratch_dir / "process-abc" / "film.mp4"),
        put(shared / "process-abc" / "film.mp4"),
        put(shared / "finished" / "job" / "result.json"),
        put(shared / "systemd-private" / "x"),
    ]
    (engine.runtime.settings.scratch_dir / "link").symlink_to(shared / "systemd-private")
    age(shared)

    clean_up_disk(engine.runtime.settings)

    assert not own.exists()
    assert all(path.exists() for path in others)


async def test_a_worker_removes_what_a_killed_process_left_when_it_is_asked_to(engine):
    settings = engine.runtime.settings
    await figures(engine)
    process = await create_subprocess_exec(sys.executable, "-c", HOLDER, str(settings.scratch_dir), stdin=-1, stdout=-1)
    folder = Path((await process.stdout.readline()).decode().strip())
    process.kill()
    await process.wait()

    async def is_gone():
        # Again, because the worker may not listen yet.
        await request_disk_clean_ups(engine.runtime.database)
        return is_missing(folder)

    await until(is_gone, timeout=60)

    async def is_recorded():
        return (await figures(engine))["removed_files"] > 0

    await until(is_recorded, timeout=60)
    recorded = await figures(engine)
    assert recorded["removed_files"] == 2
    assert recorded["removed_bytes"] >= 100_000
    assert (recorded["removable_files"], recorded["max_bytes"]) == (0, 0)


async def test_the_operation_cleans_the_machine_of_its_worker(engine):
    await figures(engine)
    left = put(engine.runtime.settings.scratch_dir / "left" / "part.mp4")
    age(left.parent)

    execution = await engine.run({"jobs": [{"id": "clean", "operation": "clean-up-disk"}]})

    result = execution.jobs[0].result
    assert (result["removedFiles"], result["failures"], left.exists()) == (1, [], False)
    assert result["removedBytes"] >= 10_000


async def test_parts_of_uploads_go_after_their_time(engine):
    folder = engine.runtime.settings.data_dir / "uploads"
    old, young = put(folder / "old.part"), put(folder / "young.part")
    os.utime(old, (0, 0))

    clean_up_disk(engine.runtime.settings)

    assert (old.exists(), young.exists()) == (False, True)
