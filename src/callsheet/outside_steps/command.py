"""Runs a command of the steps file: request on stdin, messages on stdout, files in its folder."""

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from callsheet.domain.errors import ConfigurationError, JobError, TimedOut, Transient
from callsheet.outside_steps.declarations import CommandStep
from callsheet.outside_steps.messages import (
    MAX_MESSAGE_BYTES,
    OnLog,
    OnProgress,
    SentFile,
    StepMessage,
    handle,
    read_message,
)
from callsheet.processes.child import ProcessLimits, child_environment, kill_group, start_child
from callsheet.processes.pipes import read_pipes

_TEMPORARY_FAILURE = 75
"""Exit status EX_TEMPFAIL of sysexits.h."""
_CHUNK = 64 * 1024
_MAX_LINE = 8_000
"""Bytes of a line that is no message; a longer one is cut."""
_LAST_LINES = 5
_EXIT_INTERVAL = 0.05
_END_OF_OUTPUT = 5.0
"""Seconds between the end of a program and the end of its output."""


async def run_command(
    step: CommandStep, request: Mapping[str, Any], folder: Path, on_progress: OnProgress, on_log: OnLog
) -> StepMessage:
    """Run a command in `folder`, and return its result. The process group is killed when the call ends or is cancelled.

    Raises TimedOut after the timeout of the step; Transient for exit status 75 and errors that the step calls
    transient; JobError for other failures; ConfigurationError if the program cannot be started.
    """
    request_file = folder / "request.json"
    await asyncio.to_thread(request_file.write_text, json.dumps(request, ensure_ascii=False), "utf-8")
    stdin = await asyncio.to_thread(os.open, request_file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        async with asyncio.timeout(step.timeout.total_seconds()):
            return await _run(step, folder, stdin, on_progress, on_log)
    except TimeoutError:
        raise TimedOut(f"The command '{step.name}' took longer than {step.timeout}") from None
    finally:
        os.close(stdin)


async def _run(step: CommandStep, folder: Path, stdin: int, on_progress: OnProgress, on_log: OnLog) -> StepMessage:
    env = child_environment(**{name: os.environ[name] for name in step.environment if name in os.environ})
    limits = ProcessLimits(memory_bytes=step.memory_bytes)
    try:
        async with start_child(step.command, cwd=folder, env=env, limits=limits, stdin=stdin) as process:
            last_lines: deque[str] = deque(maxlen=_LAST_LINES)
            end, code = await _follow(process, on_progress, on_log, last_lines)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise ConfigurationError(f"The command '{step.name}' cannot be started: {error.strerror}") from None
    _check_exit(step, code, last_lines)
    return end or StepMessage(result={})


async def _follow(
    process: asyncio.subprocess.Process, on_progress: OnProgress, on_log: OnLog, last_lines: "deque[str]"
) -> tuple[StepMessage | None, int]:
    """Return the last message and the exit status. What the program leaves behind in its group is killed."""
    reading = asyncio.ensure_future(
        read_pipes(
            process,
            lambda stdout: _read_messages(stdout, on_progress, on_log),
            lambda stderr: _log_lines(stderr, on_log, last_lines),
        )
    )
    ending = asyncio.ensure_future(_exit_status(process))
    try:
        either: set[asyncio.Future[Any]] = {reading, ending}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            kill_group(process)
            await asyncio.wait({reading}, timeout=_END_OF_OUTPUT)
        if not reading.done():
            raise JobError("The command left a process behind that holds its output open")
        end, _ = await reading
        return end, await ending
    finally:
        reading.cancel()
        ending.cancel()
        await asyncio.gather(reading, ending, return_exceptions=True)


async def _exit_status(process: asyncio.subprocess.Process) -> int:
    """Return the exit status as soon as the program ends. `Process.wait` also waits for the end of its output."""
    while process.returncode is None:  # noqa: ASYNC110 - asyncio has no event for it
        await asyncio.sleep(_EXIT_INTERVAL)
    return process.returncode


async def _read_messages(stdout: asyncio.StreamReader, on_progress: OnProgress, on_log: OnLog) -> StepMessage | None:
    end: StepMessage | None = None
    async for line in lines(stdout):
        if not line.lstrip().startswith(b"{"):
            on_log(line[:_MAX_LINE].decode("utf-8", "replace"))
        elif end is not None:
            raise JobError("The step sent a message after its result")
        else:
            end = handle(read_message(line), on_progress, on_log)
    return end


async def _log_lines(stderr: asyncio.StreamReader, on_log: OnLog, last_lines: "deque[str]") -> None:
    async for line in lines(stderr):
        text = line[:_MAX_LINE].decode("utf-8", "replace").rstrip()
        if text:
            on_log(text)
            last_lines.append(text)


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines of a stream without their ends. Raises JobError for a line that is too long."""
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            if line.strip():
                yield line
        if len(rest) > MAX_MESSAGE_BYTES:
            raise JobError(f"The step wrote a line of more than {MAX_MESSAGE_BYTES:,} bytes")
    if rest.strip():
        yield rest


def _check_exit(step: CommandStep, code: int, last_lines: "deque[str]") -> None:
    if code == 0:
        return
    how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    text = f"The command '{step.name}' {how}" + (f": {' | '.join(last_lines)[-1_000:]}" if last_lines else "")
    raise Transient(text) if code == _TEMPORARY_FAILURE else JobError(text)


def file_in_folder(file: SentFile, folder: Path) -> Path:
    """Return the path of a file of a result. Raises JobError unless it is a regular file inside of the folder."""
    if file.path is None:
        raise JobError("A command names its files by `path`")
    path = (folder / file.path).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise JobError(f"'{file.path}' is not in the folder of the command")
    if not path.is_file():
        raise JobError(f"The command named the file '{file.path}', which does not exist")
    return path
