"""Read stdout and stderr of a child process at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from callsheet.processes.bounded_gather import gather_limited

T = TypeVar("T")
PipeReader = Callable[[asyncio.StreamReader], Awaitable[T]]


async def read_pipes(
    process: asyncio.subprocess.Process, read_stdout: PipeReader[T], read_stderr: PipeReader[T]
) -> tuple[T, T]:
    """Read both pipes until both readers return, and return their results.

    Both must be read all the time: a process blocks when one is full. If one reader fails, the other is cancelled, so
    that nothing waits for a pipe any more when `start_child` closes it.

    Example:
        stdout, stderr = await read_pipes(process, asyncio.StreamReader.read, asyncio.StreamReader.read)
    """
    stdout, stderr = process.stdout, process.stderr
    assert stdout is not None and stderr is not None  # noqa: S101 - both are pipes
    first, second = await gather_limited([lambda: read_stdout(stdout), lambda: read_stderr(stderr)], limit=2)
    return first, second
