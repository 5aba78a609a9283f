"""Jobs whose storage is away, full or wrong: they wait, and repeat the transfer instead of the work."""

import asyncio
import hashlib
import os
from datetime import timedelta

import pytest

from callsheet.domain.errors import DiskFull, StorageUnreachable
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.engine.worker.rescuer import mark_worker_lost
from callsheet.files.storage import Storage
from callsheet.local import arun
from callsheet.operation_api.contract import operation
from callsheet.providers.contract import PollPolicy
from callsheet.testing.engine import running_engine
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import draw
from callsheet.testing.waiters import until
from support.proxy import Proxy

SIZE = 20 * 2**20
"""Uploaded in parts."""


class MakeParams(Model):
    runs: str
    """File that gets a line per run."""
    gate: str
    """File for which the operation waits before it stores its result."""
    size: int = 1000


class Made(Model):
    size: int
    sha256: str = ""


@operation("make", attempts=1, timeout=timedelta(minutes=2))
async def make(job, params: MakeParams) -> Made:
    """Make a file, then store it."""
    with open(params.runs, "a") as runs:  # noqa: ASYNC230, PTH123
        runs.write("run\n")
    path = job.dir / "made.bin"
    path.write_bytes(os.urandom(params.size))
    job.progress(0.5, "made")
    await until(lambda: os.path.exists(params.gate), timeout=60)  # noqa: PTH110
    artifact = await job.keep(path)
    return Made(size=artifact.size, sha256=artifact.sha256)


class ReadParams(Model):
    source: MediaSource


@operation("read", attempts=1, timeout=timedelta(minutes=2))
async def read(job, params: ReadParams) -> Made:
    """Fetch a file."""
    path = await job.fetch_input(params.source)
    return Made(size=path.stat().st_size)


class OverloadedProxy(Proxy):
    """A proxy that can answer requests itself, as an overloaded bucket does."""

    response: bytes | None = None

    async def _forward(self, reader, writer):
        if self.response is None:
            await super()._forward(reader, writer)
            return
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.response)
        await writer.drain()


def response(status, code):
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.fixture
async def proxy(s3_server):
    async with OverloadedProxy("127.0.0.1", int(s3_server.endpoint.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def bucket(settings, s3_server, proxy):
    """Settings of a bucket behind the proxy."""
    stored = s3_server.settings(s3_endpoint=f"http://127.0.0.1:{proxy.port}")
    fields = ("s3_bucket", "s3_endpoint", "s3_access_key", "s3_secret_key")
    return settings.model_copy(update={name: getattr(stored, name) for name in fields})


def take_away(proxy):
    proxy.accepting = False
    proxy.cut()


def plan(tmp_path, **params):
    values = {"runs": str(tmp_path / "runs"), "gate": str(tmp_path / "gate"), **params}
    return {"jobs": [{"id": "a", "operation": "make", "params": values}]}


def number_of_runs(tmp_path):
    return len((tmp_path / "runs").read_text().split())


@pytest.mark.parametrize("size", [1000, SIZE])
async def test_an_outage_at_the_upload_costs_no_attempt_and_no_second_run(bucket, proxy, tmp_path, size):
    async with running_engine([make], settings=bucket) as engine:
        execution_id = await engine.submit(plan(tmp_path, size=size))
        await engine.wait(execution_id, "job.running", timeout=60)
        take_away(proxy)
        (tmp_path / "gate").touch()
        blocked = await engine.wait(execution_id, "job.blocked", timeout=60)
        waiting = await engine.job(execution_id, "a")
        proxy.accepting = True
        execution = await engine.ended(execution_id, timeout=60)

    [job] = execution.jobs
    assert (job.status, job.attempts, job.result["size"]) == ("succeeded", 0, size)
    assert number_of_runs(tmp_path) == 1
    assert blocked.data["code"] == waiting.wait_reason.code == "storage_outage"
    assert waiting.status == "running"
    assert waiting.wait_reason.message.startswith("It waits for the storage. The bucket 'videos' at 127.0.0.1:")
    assert job.wait_reason is None
    assert job.progress_message == "made"


async def test_a_connection_that_dies_in_the_middle_of_an_upload_is_repeated(bucket, proxy, tmp_path):
    async with running_engine([make], settings=bucket) as engine:
        execution_id = await engine.submit(plan(tmp_path, size=SIZE))
        await engine.wait(execution_id, "job.running", timeout=60)
        proxy.delay = 0.02
        (tmp_path / "gate").touch()
        await until(lambda: proxy.connections > 0, timeout=60)
        await asyncio.sleep(0.3)  # sleep: a part of the file is sent
        take_away(proxy)
        await engine.wait(execution_id, "job.blocked", timeout=60)
        proxy.delay, proxy.accepting = 0.0, True
        execution = await engine.ended(execution_id, timeout=60)

    assert (execution.jobs[0].status, execution.jobs[0].attempts) == ("succeeded", 0)
    assert number_of_runs(tmp_path) == 1


@pytest.mark.parametrize(("status", "code"), [("503 Slow Down", "SlowDown"), ("500 Error", "InternalError")])
async def test_an_overloaded_storage_is_waited_for(bucket, proxy, tmp_path, status, code):
    (tmp_path / "gate").touch()
    proxy.response = response(status, code)
    async with running_engine([make], settings=bucket) as engine:
        execution_id = await engine.submit(plan(tmp_path))
        blocked = await engine.wait(execution_id, "job.blocked", timeout=60)
        proxy.response = None
        execution = await engine.ended(execution_id, timeout=60)

    assert f"it responded with {status[:3]} {code}" in blocked.data["message"]
    assert (execution.jobs[0].status, execution.jobs[0].attempts) == ("succeeded", 0)
    assert number_of_runs(tmp_path) == 1


async def test_a_refused_permission_fails_at_once(bucket, proxy, tmp_path):
    (tmp_path / "gate").touch()
    proxy.response = response("403 Forbidden", "AccessDenied")
    async with running_engine([make], settings=bucket) as engine:
        execution = await engine.run(plan(tmp_path), timeout=60)

    error = execution.jobs[0].error
    assert (error.code, error.attempt) == ("storage_rejected", 1)
    assert "was denied (AccessDenied): check the access key, the secret key and their permissions" in error.message


@pytest.mark.parametrize("restart", [False, True])
async def test_a_retry_after_a_rejection_only_stores_the_finished_files(bucket, proxy, tmp_path, restart):
    (tmp_path / "gate").touch()
    proxy.response = response("403 Forbidden", "AccessDenied")
    async with running_engine([make], settings=bucket) as engine:
        failed = await engine.run(plan(tmp_path), timeout=60)
        proxy.response = None
        if restart:
            await engine.stop_worker(engine.workers[0])
            await engine.start_worker()
        await engine.retry(failed.execution_id)
        execution = await engine.ended(failed.execution_id, timeout=60)
        [artifact] = execution.artifacts
        stored = [chunk async for chunk in engine.runtime.storage.stream(artifact.key)]

    assert (failed.jobs[0].status, failed.jobs[0].error.code) == ("failed", "storage_rejected")
    assert execution.status == "succeeded", execution.jobs[0].error
    assert number_of_runs(tmp_path) == 1
    assert hashlib.sha256(b"".join(stored)).hexdigest() == artifact.sha256 == execution.jobs[0].result["sha256"]
    assert list((bucket.scratch_dir / "finished").iterdir()) == []


async def test_finished_files_expire(bucket, proxy, tmp_path):
    (tmp_path / "gate").touch()
    proxy.response = response("403 Forbidden", "AccessDenied")
    settings = bucket.model_copy(update={"finished_result_max_age": timedelta(0)})
    async with running_engine([make], settings=settings) as engine:
        failed = await engine.run(plan(tmp_path), timeout=60)
        proxy.response = None
        await engine.retry(failed.execution_id)
        execution = await engine.ended(failed.execution_id, timeout=60)

    assert failed.jobs[0].error.code == "storage_rejected"
    assert execution.status == "succeeded"
    assert number_of_runs(tmp_path) == 2


async def test_a_provider_is_not_paid_twice_when_the_worker_dies_while_it_waits_for_the_storage(
    bucket, proxy, tmp_path
):
    soon = timedelta(seconds=0.05)
    fake = FakeProvider(tmp_path / "fake", poll_policy=PollPolicy(initial=soon, max_interval=soon))
    settings = bucket.model_copy(update={"provider_poll_interval": soon, "rescue_interval": soon})
    async with running_engine([draw], settings=settings, providers=[fake]) as engine:
        execution_id = await engine.submit({"jobs": [{"id": "a", "operation": "draw"}]})
        [submission] = await until(fake.requests, timeout=60)
        take_away(proxy)
        fake.set_status(submission["id"], "succeeded", files={"image.txt": "an image"})
        await engine.wait(execution_id, "job.blocked", timeout=60)
        [first] = engine.workers
        await engine.kill_worker(first)
        await mark_worker_lost(engine.runtime.database, first.id)
        proxy.accepting = True
        await engine.start_worker()
        execution = await engine.ended(execution_id, timeout=60)

    assert (execution.status, [file.name for file in execution.artifacts]) == ("succeeded", ["image.txt"])
    assert len(fake.requests()) == 1


async def test_an_outage_at_the_download_of_an_input_is_waited_for(bucket, proxy, tmp_path):
    (tmp_path / "gate").touch()
    async with running_engine([make, read], settings=bucket) as engine:
        made = await engine.run(plan(tmp_path), timeout=60)
        take_away(proxy)
        source = f"artifact:{made.artifacts[0].artifact_id}"
        execution_id = await engine.submit({"jobs": [{"id": "b", "operation": "read", "params": {"source": source}}]})
        await engine.wait(execution_id, "job.blocked", timeout=60)
        proxy.accepting = True
        execution = await engine.ended(execution_id, timeout=60)

    [job] = execution.jobs
    assert (job.status, job.attempts, job.result["size"]) == ("succeeded", 0, 1000)


async def test_the_time_limit_of_a_job_is_paused_while_it_waits(bucket, proxy, tmp_path):
    @operation("short", attempts=1, timeout=timedelta(seconds=3))
    async def short(job, params: MakeParams) -> Made:
        path = job.dir / "made.bin"
        path.write_bytes(b"x")
        return Made(size=(await job.keep(path)).size)

    take_away(proxy)
    async with running_engine([short], settings=bucket) as engine:
        job = plan(tmp_path)["jobs"][0] | {"operation": "short"}
        execution_id = await engine.submit({"jobs": [job]})
        started = await engine.wait(execution_id, "job.blocked", timeout=60)
        await asyncio.sleep(4)  # sleep: longer than the time limit of the job
        proxy.accepting = True
        execution = await engine.ended(execution_id, timeout=60)

    assert execution.jobs[0].status == "succeeded"
    assert execution.jobs[0].finished_at - started.at > timedelta(seconds=3)


async def test_an_outage_longer_than_its_timeout_fails_the_run(bucket, proxy, tmp_path):
    take_away(proxy)
    (tmp_path / "gate").touch()
    settings = bucket.model_copy(update={"storage_outage_timeout": timedelta(seconds=1)})
    async with running_engine([make], settings=settings) as engine:
        execution = await engine.run(plan(tmp_path), timeout=60)

    assert (execution.jobs[0].status, execution.jobs[0].error.code) == ("failed", "storage_unreachable")


async def test_a_rejection_by_the_storage_fails_at_once(bucket, tmp_path):
    (tmp_path / "gate").touch()
    settings = bucket.model_copy(update={"s3_bucket": "nowhere"})
    async with running_engine([make], settings=settings) as engine:
        execution = await engine.run(plan(tmp_path), timeout=60)

    [job] = execution.jobs
    assert (job.status, job.error.code, job.attempts) == ("failed", "storage_rejected", 1)
    assert job.error.message.startswith("There is no bucket 'nowhere' at 127.0.0.1:")


async def test_a_full_storage_is_waited_for(settings, tmp_path, monkeypatch):
    put, is_full = Storage.put, True

    async def put_if_not_full(self, *args, **options):
        if is_full:
            raise DiskFull("There is no space left in the folder")
        return await put(self, *args, **options)

    monkeypatch.setattr(Storage, "put", put_if_not_full)
    (tmp_path / "gate").touch()
    async with running_engine([make], settings=settings) as engine:
        execution_id = await engine.submit(plan(tmp_path))
        blocked = await engine.wait(execution_id, "job.blocked", timeout=60)
        is_full = False
        execution = await engine.ended(execution_id, timeout=60)

    assert "There is no space left in the folder" in blocked.data["message"]
    assert (execution.jobs[0].status, execution.jobs[0].attempts) == ("succeeded", 0)
    assert number_of_runs(tmp_path) == 1


async def test_a_job_that_waits_for_the_storage_can_be_cancelled(bucket, proxy, tmp_path):
    take_away(proxy)
    (tmp_path / "gate").touch()
    async with running_engine([make], settings=bucket) as engine:
        execution_id = await engine.submit(plan(tmp_path))
        await engine.wait(execution_id, "job.blocked", timeout=60)
        await engine.cancel(execution_id)
        execution = await engine.ended(execution_id, timeout=60)

    assert execution.jobs[0].status == "cancelled"


async def test_a_local_run_waits_for_the_storage_to_fetch_its_files(bucket, proxy, tmp_path):
    (tmp_path / "gate").touch()
    waits = []

    def on_event(event):
        if event.type == "execution.succeeded":
            take_away(proxy)

    def on_wait(reason):
        waits.append(reason)
        proxy.accepting = True

    await arun(
        plan(tmp_path, size=1000),
        operations=[make],
        settings=bucket,
        out=tmp_path / "out",
        on_event=on_event,
        on_wait=on_wait,
    )

    [file] = (path for path in (tmp_path / "out" / "a").rglob("*") if path.is_file())
    assert file.stat().st_size == 1000
    assert waits[0].startswith("The bucket 'videos' at 127.0.0.1:")
    assert waits[1:] == [None]


async def test_a_local_run_that_may_not_wait_says_that_the_storage_is_away(bucket, proxy, tmp_path):
    (tmp_path / "gate").touch()
    settings = bucket.model_copy(update={"storage_outage_timeout": timedelta(0)})

    def on_event(event):
        if event.type == "execution.succeeded":
            take_away(proxy)

    with pytest.raises(StorageUnreachable, match="The bucket 'videos'"):
        await arun(
            plan(tmp_path, size=1000), operations=[make], settings=settings, out=tmp_path / "out", on_event=on_event
        )
