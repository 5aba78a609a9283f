"""Whether processes have ended, also those that are not our children."""

import asyncio
from collections.abc import Iterable

import psutil


def is_gone(pid: int) -> bool:
    """Return whether a process has ended. A zombie has: its parent only has not asked for its status yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def all_end(pids: Iterable[int], seconds: float = 10) -> bool:
    """Wait until all processes have ended. A killed process first closes its pipes, and ends a moment later."""
    waiting = list(pids)
    try:
        async with asyncio.timeout(seconds):
            while waiting := [pid for pid in waiting if not is_gone(pid)]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # sleep: nothing reports the end of the child of another process
    except TimeoutError:
        return False
    return True
