"""Child processes with resource limits. They end with the block, the thread or the worker that started them."""

import asyncio
import ctypes
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from callsheet.processes.landlock import FileAccess, Ruleset
from callsheet.processes.memory_limit import MemoryLimit

_PR_SET_PDEATHSIG = 1
# Loaded at import: loading a library between fork and exec can deadlock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

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
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program in a new process group, with pipes for stdout and stderr, while the block runs.

    With `access`, the program may use these files only, and no TCP; the kernel must have Landlock.

    The whole group is killed when the block ends, fails or is cancelled. On Linux the kernel also kills the program
    when the thread of the event loop ends, so that a killed worker leaves no orphan.

    Raises FFmpegFailed at the end of the block if the program was killed for exceeding its memory limit.
    """
    starting = asyncio.ensure_future(_start(argv, cwd, env, limits, access))
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise
    memory_limit = MemoryLimit(process.pid, limits.memory_bytes, kill=lambda: _kill(process))
    try:
        with memory_limit:
            yield process
    finally:
        await _end(process)


async def _start(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str], limits: ProcessLimits, access: FileAccess | None
) -> asyncio.subprocess.Process:
    ruleset = Ruleset(access) if access is not None else None
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
            preexec_fn=_prepare_child(limits, ruleset),
        )
    finally:
        if ruleset is not None:
            ruleset.close()


def _prepare_child(limits: ProcessLimits, ruleset: Ruleset | None) -> Callable[[], None]:
    parent = os.getpid()
    limited = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
    ]
    settings = [(kind, _within_hard_limit(kind, value)) for kind, value in limited if value is not None]

    def prepare() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # the parent ended before the call above took effect
                os._exit(1)
            _raise_oom_score()
        for kind, value in settings:
            resource.setrlimit(kind, value)
        if ruleset is not None:
            ruleset.enter()

    return prepare


def _raise_oom_score() -> None:
    """Make the kernel kill this process before its worker when memory runs out."""
    with suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"500")
        os.close(score)


def _within_hard_limit(kind: int, value: int) -> tuple[int, int]:
    _, hard = resource.getrlimit(kind)
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return allowed, allowed


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> None:
    _kill(process)
    # Reading to EOF closes the pipes. Otherwise their transports outlive the event loop.
    ending = asyncio.ensure_future(process.communicate())
    cancelled = False
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
