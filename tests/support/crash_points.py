"""A worker process that kills itself with SIGKILL at a named point.

`main` runs it, with the point in the environment variable CALLSHEET_CRASH_AT, and with all installed operations.
Without a crash point it is an ordinary worker.

The points are public seams: named SQL statements, and methods of the ComfyUIClient client and the job context.
"""

import asyncio
import functools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from callsheet.comfyui.client import ComfyUIClient
from callsheet.db.statements import Statement
from callsheet.engine.worker.context import JobContext
from callsheet.operation_api.catalog import discover
from support.worker import run_worker

VARIABLE = "CALLSHEET_CRASH_AT"


@dataclass(frozen=True, slots=True)
class StatementPoint:
    """Before or after the execution of an SQL statement. After it, its changes are committed."""

    statement: str
    after: bool = False

    def install(self) -> None:
        """Patch the execution of statements."""
        execute = Statement.__call__

        async def execute_or_crash(statement: Statement, connection: Any, **given: Any) -> Any:
            if statement.name != self.statement:
                return await execute(statement, connection, **given)
            if self.after:
                await execute(statement, connection, **given)
            kill_process()

        Statement.__call__ = execute_or_crash  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class MethodPoint:
    """Before or after a call of an async method."""

    method: Callable[..., Any]
    owner: type
    after: bool = False

    def install(self) -> None:
        """Patch the method."""

        @functools.wraps(self.method)
        async def call_and_crash(*args: Any, **kwargs: Any) -> None:
            if self.after:
                await self.method(*args, **kwargs)
            kill_process()

        setattr(self.owner, self.method.__name__, call_and_crash)


POINTS = {
    "before the intent": StatementPoint("begin_submission"),
    "after the intent": StatementPoint("begin_submission", after=True),
    "answer not stored": StatementPoint("accept_submission"),
    "answer stored": StatementPoint("accept_submission", after=True),
    "end not stored": StatementPoint("end_submission"),
    "before the prompt": MethodPoint(ComfyUIClient.submit, ComfyUIClient),
    "after the prompt": MethodPoint(ComfyUIClient.submit, ComfyUIClient, after=True),
    "while polling": MethodPoint(ComfyUIClient.get_status, ComfyUIClient),
    "before the file": MethodPoint(ComfyUIClient.download, ComfyUIClient),
    "file stored": MethodPoint(JobContext.keep, JobContext, after=True),
}
"""The crash points by name."""


def kill_process() -> NoReturn:
    """End this process with SIGKILL: no cleanup runs, and no message is sent."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


_OPERATIONS = discover()


def main() -> None:
    """Run a worker, until it kills itself."""
    if point := os.environ.get(VARIABLE):
        POINTS[point].install()
    asyncio.run(run_worker(_OPERATIONS))
