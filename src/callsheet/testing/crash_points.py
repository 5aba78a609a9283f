"""A worker that is killed at a named point, as by the kernel: nothing is told, nothing cleaned up.

    CALLSHEET_CRASH_AT="after the intent" python -m callsheet.testing.crash_points

It runs all installed operations. Without a point it works on like any other.
"""

import asyncio
import functools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from callsheet.comfyui.client import ComfyUIClient
from callsheet.engine.submissions.submit_once import Submissions
from callsheet.engine.submissions.task_awaiter import TaskAwaiter
from callsheet.engine.worker.context import JobContext
from callsheet.operation.catalog import discover
from callsheet.testing.worker import work

VARIABLE = "CALLSHEET_CRASH_AT"


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """A method before or after which the process kills itself."""

    owner: type
    method: str
    after: bool = False


POINTS = {
    "before the intent": CrashPoint(Submissions, "_begin"),
    "after the intent": CrashPoint(Submissions, "_begin", after=True),
    "answer not stored": CrashPoint(Submissions, "_record_accepted"),
    "answer stored": CrashPoint(Submissions, "_record_accepted", after=True),
    "end not stored": CrashPoint(TaskAwaiter, "_ended"),
    "before the prompt": CrashPoint(ComfyUIClient, "submit"),
    "after the prompt": CrashPoint(ComfyUIClient, "submit", after=True),
    "while looking": CrashPoint(ComfyUIClient, "get_status"),
    "before the file": CrashPoint(ComfyUIClient, "download"),
    "file stored": CrashPoint(JobContext, "keep", after=True),
}
"""Where a worker can be killed: before something that it does, or after."""


def trap(name: str) -> None:
    """Have this process killed at a point; raises KeyError for one that is unknown."""
    point = POINTS[name]
    setattr(point.owner, point.method, _deadly(getattr(point.owner, point.method), after=point.after))


def _deadly(method: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    @functools.wraps(method)
    async def deadly(*given: Any, **named: Any) -> None:
        if after:
            await method(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return deadly


if __name__ == "__main__":
    if point := os.environ.get(VARIABLE):
        trap(point)
    asyncio.run(work(discover()))
