"""Sample operations for tests: they sleep, fail, hang, crash or write files, as their params say."""

# ruff: noqa: ARG001 - an operation must take both parameters.

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import JobError, Transient
from callsheet.domain.model import Model
from callsheet.operation_api.contract import ChildJob, Context, RunChildJobs, operation
from callsheet.providers.contract import SubmitRequest

QUEUE = "test"
"""The queue of these operations."""

_MINUTE = timedelta(minutes=1)


class AnyValue(Model):
    """Any JSON value."""

    value: Any = None


class SleepParams(Model):
    """Duration."""

    seconds: float = Field(ge=0)


class FailParams(Model):
    """Number and kind of failures."""

    times: int = Field(1_000_000, ge=0, description="Number of failing runs before the first success")
    transient: bool = False
    message: str = "failed on purpose"


class FileParams(Model):
    """An existing file."""

    path: str


class BlockParams(Model):
    """Files that signal the start of the run and end it."""

    started: str | None = Field(None, description="Receives a line with the process id when a run starts")
    until: str = Field(description="The run succeeds once this file exists")


class WriteParams(Model):
    """A file to write."""

    name: str = "note.txt"
    text: str = "written"
    size: int | None = Field(None, description="Size in bytes; the file is filled with zeros instead of the text")
    at_once: bool = Field(False, description="Make the file an artifact before the end of the run")
    wait_for: str | None = Field(None, description="After the file is kept, wait until this file exists")
    failures: int = Field(0, description="Number of transient failures after the file is kept")
    started: str | None = None


class WriteResult(Model):
    """The stored file."""

    file: Artifact


class SubprocessParams(Model):
    """The file that receives the id of the child process."""

    pid_file: str


class ProgressParams(Model):
    """Number of reports, and seconds between them."""

    reports: int = Field(ge=0)
    pause: float = 0.0


class OnceParams(Model):
    """A once step that appends a line to `ledger` each time its action runs."""

    ledger: str
    die: bool = Field(False, description="Exit the process between the side effect and its record")
    fail_after: int = Field(0, description="Number of transient failures after the step")


class ChildJobParams(Model):
    """A child job."""

    id: str
    operation: str = "noop"
    params: dict[str, Any] = Field(default_factory=dict)


class RunChildrenParams(Model):
    """Child jobs."""

    jobs: list[ChildJobParams]
    again: bool = Field(False, description="Raise RunChildJobs a second time, which is an error")


class CachedPieceParams(Model):
    """A cached file that is written once."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    ledger: str | None = Field(
        None, description="Receives a line with the digest and the worker's process id when the file is written"
    )
    started: str | None = None
    until: str | None = Field(None, description="Wait for this file before writing")
    held_until: str | None = Field(None, description="After caching, wait until this file exists")


class DrawParams(Model):
    """An image to generate with the fake provider."""

    submit: str = Field("accept", description="How the fake provider responds to the submission")
    text: str = "a runtime"
    started: str | None = Field(None, description="Receives a line with the process id when the image is downloaded")
    until: str | None = Field(None, description="Wait for this file before storing the image")


@operation("noop", queue=QUEUE, timeout=_MINUTE)
async def noop(job: Context, params: AnyValue) -> AnyValue:
    """Return the params."""
    return params


@operation("sleep", queue=QUEUE, timeout=_MINUTE)
async def sleep(job: Context, params: SleepParams) -> AnyValue:
    """Sleep."""
    await asyncio.sleep(params.seconds)
    return AnyValue(value=params.seconds)


@operation("fail", queue=QUEUE, timeout=_MINUTE)
async def fail(job: Context, params: FailParams) -> AnyValue:
    """Fail a number of times, then succeed."""
    if job.attempt <= params.times:
        raise (Transient if params.transient else JobError)(params.message)
    return AnyValue(value=job.attempt)


@operation("surprise", queue=QUEUE, timeout=_MINUTE)
async def surprise(job: Context, params: AnyValue) -> AnyValue:
    """Raise an unexpected error."""
    raise KeyError("a secret detail")


@operation("crash", queue=QUEUE, timeout=_MINUTE)
async def crash(job: Context, params: AnyValue) -> AnyValue:
    """Exit the worker's process immediately."""
    os._exit(66)


@operation("freeze", queue=QUEUE, timeout=_MINUTE)
async def freeze(job: Context, params: AnyValue) -> AnyValue:
    """Stop the worker's process with SIGSTOP until it receives SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return params


@operation("block", queue=QUEUE, timeout=_MINUTE)
async def block(job: Context, params: BlockParams) -> AnyValue:
    """Run until a file exists."""
    _append_line(params.started)
    await _wait_for_file(params.until)
    return AnyValue(value=os.getpid())


@operation("write", queue=QUEUE, timeout=_MINUTE)
async def write(job: Context, params: WriteParams) -> WriteResult:
    """Write a file and keep it."""
    path = job.dir / params.name
    if params.size is None:
        await asyncio.to_thread(path.write_text, params.text)
    else:
        await asyncio.to_thread(path.write_bytes, bytes(params.size))
    kept = await job.keep(path, at_once=params.at_once)
    _append_line(params.started)
    if params.wait_for is not None:
        await _wait_for_file(params.wait_for)
    if job.attempt <= params.failures:
        raise Transient("after the file was kept")
    return WriteResult(file=kept)


@operation("keep", queue=QUEUE, timeout=_MINUTE)
async def keep(job: Context, params: FileParams) -> WriteResult:
    """Keep an existing file."""
    return WriteResult(file=await job.keep(Path(params.path)))


@operation("child", queue=QUEUE, timeout=_MINUTE)
async def child(job: Context, params: SubprocessParams) -> AnyValue:
    """Run a child process until the run is stopped."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(600)", stdin=subprocess.DEVNULL
    )
    try:
        _append_line(params.pid_file, process.pid)
        return AnyValue(value=await process.wait())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@operation("report-progress", queue=QUEUE, timeout=_MINUTE)
async def report_progress(job: Context, params: ProgressParams) -> AnyValue:
    """Report progress repeatedly."""
    for number in range(1, params.reports + 1):
        job.progress(number / params.reports, f"{number} of {params.reports}")
        await asyncio.sleep(params.pause)
    return AnyValue(value=params.reports)


@operation("pay-once", queue=QUEUE, timeout=_MINUTE)
async def pay_once(job: Context, params: OnceParams) -> AnyValue:
    """Run a once step."""

    async def pay() -> int:
        _append_line(params.ledger, job.attempt)
        if params.die:
            os._exit(67)
        return job.attempt

    paid = await job.once("pay", pay, int)
    if job.attempt <= params.fail_after:
        raise Transient("after the step")
    return AnyValue(value=paid)


@operation("run-children", queue=QUEUE, timeout=_MINUTE)
async def run_children(job: Context, params: RunChildrenParams) -> AnyValue:
    """Run child jobs; return the number of hosts."""
    if params.again or not job.children_done:
        raise RunChildJobs([ChildJob(child.id, child.operation, child.params) for child in params.jobs])
    return AnyValue(value=await job.worker_host_count())


@operation("piece", queue=QUEUE, timeout=_MINUTE)
async def piece(job: Context, params: CachedPieceParams) -> AnyValue:
    """Fetch a file from the cache, or write and cache it. Return `found` or `made`."""
    key, path = f"piece/{params.digest}", job.dir / "piece"
    if await job.cache.fetch(key, path):
        return AnyValue(value="found")
    _append_line(params.started)
    if params.until is not None:
        await _wait_for_file(params.until)
    await asyncio.to_thread(path.write_text, params.digest)
    _append_line(params.ledger, f"{params.digest} {os.getpid()}")
    await job.cache.keep(key, path)
    if params.held_until is not None:
        await _wait_for_file(params.held_until)
    return AnyValue(value="made")


@operation("draw", queue=QUEUE, timeout=_MINUTE, on_worker_lost="resume")
async def draw(job: Context, params: DrawParams) -> WriteResult:
    """Generate an image with the fake provider and keep it."""
    provider = job.providers["toy"]
    request = SubmitRequest("crayon", {"submit": params.submit, "text": params.text}, webhook=job.webhook_url(provider))
    status = await job.wait_for_result(await job.submit_once(provider, request))
    [output] = status.outputs
    path = await provider.fetch(output, job.dir / (output.name or "picture"))
    _append_line(params.started)
    if params.until is not None:
        await _wait_for_file(params.until)
    return WriteResult(file=await job.keep(path))


ALL = (
    *(noop, sleep, fail, surprise, crash, freeze, block, write, keep, child, report_progress, pay_once),
    *(run_children, piece, draw),
)
"""All operations of this module."""


def _append_line(path: str | None, text: object = None) -> None:
    if path is not None:
        with Path(path).open("a") as file:
            file.write(f"{os.getpid() if text is None else text}\n")


async def _wait_for_file(path: str) -> None:
    while not Path(path).exists():  # noqa: ASYNC110, ASYNC240 - another process creates it
        await asyncio.sleep(0.01)
