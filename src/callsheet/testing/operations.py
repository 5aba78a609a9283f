"""Operations that do nothing, fail, hang or crash as they are told."""

# ruff: noqa: ARG001 - an operation takes both, used or not.

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
from callsheet.operation.contract import ChildJob, Context, RunChildJobs, operation
from callsheet.providers.contract import SubmitRequest

QUEUE = "test"
"""The queue that all of these wait in."""

_MINUTE = timedelta(minutes=1)


class AnyValue(Model):
    """Params of any kind, handed on."""

    value: Any = None


class SleepParams(Model):
    """How long."""

    seconds: float = Field(ge=0)


class FailParams(Model):
    """How often, and how."""

    times: int = Field(1_000_000, ge=0, description="Runs that fail before one succeeds")
    transient: bool = False
    message: str = "told to fail"


class FileParams(Model):
    """A file that is there."""

    path: str


class BlockParams(Model):
    """Files that tell of the run, and end it."""

    started: str | None = Field(None, description="Gets a line with the process id when a run starts")
    until: str = Field(description="The run ends well once this file is there")


class WriteParams(Model):
    """A file to make."""

    name: str = "note.txt"
    text: str = "written"
    size: int | None = Field(None, description="Bytes; filled with zeros instead of the text")
    wait_for: str | None = Field(None, description="Once written and kept, wait until this file is there")
    started: str | None = None


class WriteResult(Model):
    """The file."""

    file: Artifact


class SubprocessParams(Model):
    """A child process that runs until it is killed."""

    pid_file: str


class ProgressParams(Model):
    """How many reports, with how long between them."""

    reports: int = Field(ge=0)
    pause: float = 0.0


class OnceParams(Model):
    """A once-only step that leaves a line in `ledger` each time it is really done."""

    ledger: str
    die: bool = Field(False, description="End the process between the effect and its record")
    fail_after: int = Field(0, description="Fail passingly after the step, this many times")


class ChildJobParams(Model):
    """A job to run first."""

    id: str
    operation: str = "noop"
    params: dict[str, Any] = Field(default_factory=dict)


class RunChildrenParams(Model):
    """Jobs to run first."""

    jobs: list[ChildJobParams]
    again: bool = Field(False, description="Want them for a second time when they have run, which is a mistake")


class CachedPieceParams(Model):
    """A piece of work that is made once."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    ledger: str | None = Field(
        None, description="Gets a line with the digest and the worker's process id when it is made"
    )
    started: str | None = None
    until: str | None = Field(None, description="It is made once this file is there")
    held_until: str | None = Field(None, description="Once it is in the cache, wait until this file is there")


class DrawParams(Model):
    """A picture to order of the toy provider."""

    submit: str = Field("accept", description="How the toy takes the order")
    text: str = "a runtime"
    started: str | None = Field(None, description="Gets a line with the process id when the picture is collected")
    until: str | None = Field(None, description="It is collected once this file is there")


@operation("noop", queue=QUEUE, timeout=_MINUTE)
async def noop(job: Context, params: AnyValue) -> AnyValue:
    """Return the params."""
    return params


@operation("sleep", queue=QUEUE, timeout=_MINUTE)
async def sleep(job: Context, params: SleepParams) -> AnyValue:
    """Take a while."""
    await asyncio.sleep(params.seconds)
    return AnyValue(value=params.seconds)


@operation("fail", queue=QUEUE, timeout=_MINUTE)
async def fail(job: Context, params: FailParams) -> AnyValue:
    """Fail some times, then succeed."""
    if job.attempt <= params.times:
        raise (Transient if params.transient else JobError)(params.message)
    return AnyValue(value=job.attempt)


@operation("surprise", queue=QUEUE, timeout=_MINUTE)
async def surprise(job: Context, params: AnyValue) -> AnyValue:
    """Fail in a way that nobody foresaw."""
    raise KeyError("nobody foresaw this")


@operation("crash", queue=QUEUE, timeout=_MINUTE)
async def crash(job: Context, params: AnyValue) -> AnyValue:
    """End the worker's process on the spot."""
    os._exit(66)


@operation("freeze", queue=QUEUE, timeout=_MINUTE)
async def freeze(job: Context, params: AnyValue) -> AnyValue:
    """Stop the worker's process until somebody lets it continue (SIGCONT)."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return params


@operation("block", queue=QUEUE, timeout=_MINUTE)
async def block(job: Context, params: BlockParams) -> AnyValue:
    """Run until a file appears."""
    _say(params.started)
    await _there(params.until)
    return AnyValue(value=os.getpid())


@operation("write", queue=QUEUE, timeout=_MINUTE)
async def write(job: Context, params: WriteParams) -> WriteResult:
    """Make a file and keep it."""
    path = job.dir / params.name
    if params.size is None:
        await asyncio.to_thread(path.write_text, params.text)
    else:
        await asyncio.to_thread(path.write_bytes, bytes(params.size))
    kept = await job.keep(path)
    _say(params.started)
    if params.wait_for is not None:
        await _there(params.wait_for)
    return WriteResult(file=kept)


@operation("keep", queue=QUEUE, timeout=_MINUTE)
async def keep(job: Context, params: FileParams) -> WriteResult:
    """Keep a file that is there already."""
    return WriteResult(file=await job.keep(Path(params.path)))


@operation("child", queue=QUEUE, timeout=_MINUTE)
async def child(job: Context, params: SubprocessParams) -> AnyValue:
    """Run a child process that never ends by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(600)", stdin=subprocess.DEVNULL
    )
    try:
        _say(params.pid_file, process.pid)
        return AnyValue(value=await process.wait())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@operation("report-progress", queue=QUEUE, timeout=_MINUTE)
async def report_progress(job: Context, params: ProgressParams) -> AnyValue:
    """Report progress again and again."""
    for number in range(1, params.reports + 1):
        job.progress(number / params.reports, f"{number} of {params.reports}")
        await asyncio.sleep(params.pause)
    return AnyValue(value=params.reports)


@operation("pay-once", queue=QUEUE, timeout=_MINUTE)
async def pay_once(job: Context, params: OnceParams) -> AnyValue:
    """Do something that must not be done twice."""

    async def pay() -> int:
        _say(params.ledger, job.attempt)
        if params.die:
            os._exit(67)
        return job.attempt

    paid = await job.once("pay", pay, int)
    if job.attempt <= params.fail_after:
        raise Transient("after the step")
    return AnyValue(value=paid)


@operation("run-first", queue=QUEUE, timeout=_MINUTE)
async def run_children(job: Context, params: RunChildrenParams) -> AnyValue:
    """Have other jobs run first; return the hosts that there are."""
    if params.again or not job.children_done:
        raise RunChildJobs([ChildJob(wanted.id, wanted.operation, wanted.params) for wanted in params.jobs])
    return AnyValue(value=await job.worker_host_count())


@operation("piece", queue=QUEUE, timeout=_MINUTE)
async def piece(job: Context, params: CachedPieceParams) -> AnyValue:
    """Take a piece from the cache, or make it and keep it there; return how it was come by."""
    key, path = f"piece/{params.digest}", job.dir / "piece"
    if await job.cache.fetch(key, path):
        return AnyValue(value="found")
    _say(params.started)
    if params.until is not None:
        await _there(params.until)
    await asyncio.to_thread(path.write_text, params.digest)
    _say(params.ledger, f"{params.digest} {os.getpid()}")
    await job.cache.keep(key, path)
    if params.held_until is not None:
        await _there(params.held_until)
    return AnyValue(value="made")


@operation("draw", queue=QUEUE, timeout=_MINUTE, on_worker_lost="resume")
async def draw(job: Context, params: DrawParams) -> WriteResult:
    """Have the toy provider draw a picture, and keep that."""
    toy = job.providers["toy"]
    order = SubmitRequest("crayon", {"submit": params.submit, "text": params.text}, webhook=job.webhook_url(toy))
    look = await job.wait_for_result(await job.submit_once(toy, order))
    [output] = look.outputs
    path = await toy.fetch(output, job.dir / (output.name or "picture"))
    _say(params.started)
    if params.until is not None:
        await _there(params.until)
    return WriteResult(file=await job.keep(path))


ALL = (
    *(noop, sleep, fail, surprise, crash, freeze, block, write, keep, child, report_progress, pay_once),
    *(run_children, piece, draw),
)
"""Every operation of this file."""


def _say(path: str | None, what: object = None) -> None:
    if path is not None:
        with Path(path).open("a") as file:
            file.write(f"{os.getpid() if what is None else what}\n")


async def _there(path: str) -> None:
    while not Path(path).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.01)
