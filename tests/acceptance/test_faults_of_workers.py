"""Workers that are killed, frozen, crashed by their jobs, or without disk space."""

import asyncio
import hashlib
import signal
import subprocess
import time

import pytest

from callsheet.testing.waiters import until


def job(id, operation, **params):
    return {"id": id, "operation": operation, "params": params}


def files_of(settings):
    return sorted(path for path in settings.files_dir.rglob("*") if path.is_file())


async def test_a_job_of_a_killed_worker_is_rescued_with_one_result(engine, settings, start, tmp_path):
    gate, started = tmp_path / "gate", tmp_path / "started"
    first = start(settings, "first").ready()
    execution_id = await engine.submit(
        {"jobs": [job("film", "write", text="the film", waitFor=str(gate), started=str(started))]}
    )
    await until(started.exists)  # the file is stored, the result is not
    second = start(settings, "second").ready()

    first.kill()
    killed = time.monotonic()
    again = await engine.wait(execution_id, "job.queued", job="film", timeout=30)
    claimed = await engine.wait(execution_id, "job.running", job="film", after=again.number, timeout=30)
    print(f"rescued {time.monotonic() - killed:.2f} s after the kill")
    gate.touch()

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert claimed.data["worker"] == execution.jobs[0].worker == second.name
    (artifact,) = execution.artifacts
    stored = settings.files_dir / artifact.key
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == artifact.sha256
    types = [event.type for event in await engine.events(execution_id, job="film")]
    assert types == ["job.running", "job.queued", "job.running", "job.succeeded"]


async def test_a_frozen_worker_cannot_overwrite_the_result_of_another(engine, settings, start, tmp_path):
    gate, started = tmp_path / "gate", tmp_path / "started"
    first = start(settings, "first").ready()
    execution_id = await engine.submit(
        {"jobs": [job("film", "write", text="the film", waitFor=str(gate), started=str(started))]}
    )
    await until(started.exists)
    (from_first,) = files_of(settings)
    first.signal(signal.SIGSTOP)
    second = start(settings, "second").ready()
    await until(lambda: len(started.read_text().split()) == 2, timeout=30)
    gate.touch()
    before = await engine.ended(execution_id)

    first.signal(signal.SIGCONT)
    late = await engine.wait(execution_id, "job.log", job="film", timeout=30)
    assert "Its outcome is discarded" in late.data["message"]
    await until(lambda: not from_first.exists(), timeout=30)

    after = await engine.execution(execution_id)
    # Results contain signed URLs, which change with each read.
    assert [a.key for a in after.artifacts] == [a.key for a in before.artifacts]
    assert [e.type for e in (await engine.events(execution_id))[before.last_event :]] == ["job.log"]
    assert after.jobs[0].worker == "second"
    assert [settings.files_dir / artifact.key for artifact in after.artifacts] == files_of(settings)
    second.kill()
    assert (await engine.run({"jobs": [job("a", "noop")]})).jobs[0].worker == "first"


async def test_a_job_that_crashes_its_worker_fails_and_others_succeed(engine, settings, start):
    workers = [start(settings, f"worker {n}", CALLSHEET_LANES="test=1").ready() for n in range(2)]
    stop = asyncio.Event()

    async def keep_alive():
        """Restart dead workers, as a supervisor does."""
        while not stop.is_set():
            for place, worker in enumerate(workers):
                if worker.process.poll() is not None:
                    workers[place] = start(settings, worker.name, CALLSHEET_LANES="test=1")
            await asyncio.sleep(0.05)

    alive = asyncio.create_task(keep_alive())
    crashing = await engine.submit({"jobs": [job("bad", "crash"), *(job(f"j{n}", "noop") for n in range(5))]})
    others = await engine.submit({"jobs": [job(f"j{n}", "sleep", seconds=0.01) for n in range(40)]})

    assert (await engine.ended(others, timeout=90)).status == "succeeded"
    execution = await engine.ended(crashing, timeout=90)
    stop.set()
    await alive
    bad, *rest = execution.jobs
    assert execution.status == "failed"
    assert bad.error.code == "crash_loop"
    assert {str(found.status) for found in rest} == {"succeeded"}
    starts = [event for event in await engine.events(crashing, job="bad") if event.type == "job.running"]
    assert len(starts) == settings.crash_limit


@pytest.fixture
def small_disk(settings):
    """The files folder on a disk of 1 MB. Call the fixture to enlarge the disk."""
    folder = settings.files_dir
    folder.mkdir(parents=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_file_waits_for_space_on_a_full_disk(small_disk, engine, settings, start, tmp_path):
    execution_id = await _submit_large_file(engine, tmp_path)
    start(settings, "worker").ready()

    blocked = await engine.wait(execution_id, "job.blocked", job="film", timeout=60)

    assert blocked.data["code"] == "storage_outage"
    assert "There is no space left in folder" in blocked.data["message"]
    assert (await engine.execution(execution_id)).artifacts == []
    small_disk()
    await _check_file_is_stored(engine, settings, execution_id)


async def test_a_file_waits_at_a_file_size_limit_until_another_worker_stores_it(engine, settings, start, tmp_path):
    """A file size limit of the process needs no privileges; the write fails as on a full disk."""
    execution_id = await _submit_large_file(engine, tmp_path)
    small = start(settings, "small", CALLSHEET_TESTING_FILE_LIMIT=str(2**20)).ready()

    blocked = await engine.wait(execution_id, "job.blocked", job="film", timeout=60)

    assert "EFBIG" in blocked.data["message"]
    assert (await engine.execution(execution_id)).artifacts == []
    small.kill()
    start(settings, "large").ready()
    await _check_file_is_stored(engine, settings, execution_id)


FILE_BYTES = 4 * 2**20


async def _submit_large_file(engine, folder):
    film = folder / "film.bin"
    film.write_bytes(bytes(FILE_BYTES))
    return await engine.submit({"jobs": [{**job("film", "keep", path=str(film)), "retries": 100}]})


async def _check_file_is_stored(engine, settings, execution_id):
    execution = await engine.ended(execution_id, timeout=60)
    assert execution.status == "succeeded"
    assert [artifact.size for artifact in execution.artifacts] == [FILE_BYTES]
    assert [path.stat().st_size for path in files_of(settings)] == [FILE_BYTES]


async def test_killed_schedulers_and_rescuers_leave_no_job_behind(engine, settings, start):
    execution_id = await engine.submit({"jobs": [job(f"j{n}", "sleep", seconds=0.2) for n in range(120)]})
    async with engine.runtime.database.connection() as connection:
        await connection.execute(
            "UPDATE execution_jobs SET status = 'scheduled', scheduled_at = now() WHERE number % 2 = 0"
        )
    for n in range(4):
        worker = start(settings, f"victim {n}").ready()
        seen = (await engine.execution(execution_id)).last_event
        await until(lambda seen=seen: _moved_on(engine, execution_id, seen), timeout=30)
        worker.kill()

    start(settings, "survivor").ready()
    execution = await engine.ended(execution_id, timeout=90)

    assert execution.status == "succeeded"
    ends = [event.job_id for event in await engine.events(execution_id) if event.type == "job.succeeded"]
    assert len(ends) == len(set(ends)) == 120


async def _moved_on(engine, execution_id, seen):
    return (await engine.execution(execution_id)).last_event > seen
