"""Child processes that cannot outlive the work they were started for."""

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

from callsheet.processes.memory_limit import MemoryLimit

_PR_SET_PDEATHSIG = 1
# Loaded here, since nothing may be loaded between fork and exec.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

_PASSED_ON = (
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
    """What a child may use; None sets no limit."""

    file_bytes: int | None = 64 * 2**30
    """Of the largest file it may write."""
    cpu_seconds: int | None = None
    memory_bytes: int | None = None
    """Of memory really used."""


def child_environment(**more: str) -> dict[str, str]:
    """Return an environment without secrets: what programs need to be found and to find their libraries."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


@asynccontextmanager
async def start_child(
    argv: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], limits: ProcessLimits
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program in a process group of its own, with pipes for stdout and stderr, while the block runs.

    The whole group is dead when the block is left, however it is left. On Linux the program also dies with
    the thread that runs the event loop, so a killed worker leaves no orphan.

    Raises FFmpegFailed, when the block is left, for a program that was ended since it used more memory than it may.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
            preexec_fn=_tie_to_parent(limits),
        )
    )
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise
    memory = MemoryLimit(process.pid, limits.memory_bytes, kill=lambda: _kill(process))
    try:
        with memory:
            yield process
    finally:
        await _end(process)


def _tie_to_parent(limits: ProcessLimits) -> Callable[[], None]:
    parent = os.getpid()
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
    ]
    settings = [(kind, _with_limits(kind, value)) for kind, value in wanted if value is not None]

    def tie() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before the call above could take effect
                os._exit(1)
            _offer_to_the_system()
        for kind, value in settings:
            resource.setrlimit(kind, value)

    return tie


def _offer_to_the_system() -> None:
    """Let the system, when memory runs out, end this process before the worker that started it."""
    with suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"500")
        os.close(score)


def _with_limits(kind: int, value: int) -> tuple[int, int]:
    _, hard = resource.getrlimit(kind)
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return allowed, allowed


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> None:
    _kill(process)
    # Reading to the end lets the pipes close; otherwise their transports outlive the loop.
    ending = asyncio.ensure_future(process.communicate())
    cancelled = False
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
