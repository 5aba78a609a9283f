"""Child processes with resource limits. They end with the block, the thread or the worker that started them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from callsheet.processes.landlock import FileAccess, Ruleset
from callsheet.processes.memory_limit import MemoryLimit

_LAUNCHER = Path(__file__).with_name("launcher.py")
_END_OF_OUTPUT = 5.0
"""Seconds between the end of a program and the end of its output."""
_INHERITED_VARIABLES = (
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
)


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Resource limits of a child process. None: no limit."""

    file_bytes: int | None = 64 * 2**30
    """Size of the largest file it may write."""
    cpu_seconds: int | None = None
    memory_bytes: int | None = None
    """Resident memory."""


def child_environment(**more: str) -> dict[str, str]:
    """Return an environment without secrets: the variables for finding programs and libraries, and `more`."""
    kept = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


@asynccontextmanager
async def start_child(
    argv: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str],
    limits: ProcessLimits,
    access: FileAccess | None = None,
    stdin: int = asyncio.subprocess.DEVNULL,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program in a new process group, with pipes for stdout and stderr, while the block runs.

    `stdin` is the descriptor of an open file that it reads.

    With `access`, the program may use these files only, and no TCP; the kernel must have Landlock.

    The whole group is killed when the block ends, fails or is cancelled. On Linux the kernel also kills the program
    when the thread of the event loop ends, so that a killed worker leaves no orphan.

    Raises OSError if the program cannot be started, and FFmpegFailed at the end of the block if the program was killed
    for exceeding its memory limit.
    """
    starting = asyncio.ensure_future(_start(argv, cwd, env, limits, access, stdin))
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise
    memory_limit = MemoryLimit(process.pid, limits.memory_bytes, kill=lambda: kill_group(process))
    try:
        with memory_limit:
            yield process
    finally:
        await _end(process)


async def _start(
    argv: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str],
    limits: ProcessLimits,
    access: FileAccess | None,
    stdin: int,
) -> asyncio.subprocess.Process:
    ruleset = Ruleset(access) if access is not None else None
    status, launcher_status = os.pipe()
    try:
        try:
            inherited = [launcher_status, *([] if ruleset is None else [ruleset.fd])]
            process = await asyncio.create_subprocess_exec(
                *_launcher(limits, launcher_status, ruleset),
                *argv,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=cwd,
                env=dict(env),
                start_new_session=True,
                pass_fds=inherited,
            )
        finally:
            os.close(launcher_status)
            if ruleset is not None:
                ruleset.close()
        error = await asyncio.to_thread(os.read, status, 1000)
    finally:
        os.close(status)
    if error:
        await _end(process)
        code, _, message = error.decode().partition(" ")
        raise OSError(int(code), message, argv[0])
    return process


def _launcher(limits: ProcessLimits, status: int, ruleset: Ruleset | None) -> list[str]:
    """Return the command that applies the limits and executes the command behind it. See `launcher.py`."""
    values = [os.getpid(), status, ruleset and ruleset.fd, limits.file_bytes, limits.cpu_seconds]
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *("-" if value is None else str(value) for value in values)]


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill a program and its own child processes, also those that outlived it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> None:
    kill_group(process)
    # Reading to EOF closes the pipes. Otherwise their transports outlive the event loop.
    ending = asyncio.ensure_future(process.communicate())
    cancelled = False
    while not ending.done():
        try:
            await asyncio.wait({ending}, timeout=_END_OF_OUTPUT)
        except asyncio.CancelledError:
            cancelled = True
        else:
            if not ending.done():
                # A process that left the group still holds the pipes.
                process._transport.close()  # type: ignore[attr-defined]
    if cancelled:
        raise asyncio.CancelledError
