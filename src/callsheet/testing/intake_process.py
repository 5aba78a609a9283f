"""An intake process that kills itself with SIGKILL at a named point, for the contract suite of intakes.

CALLSHEET_TESTING_CRASH_AT="stored" python -m callsheet.testing.intake_process package.module:AcmeIntake
"""

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from callsheet.db.statements import Statement
from callsheet.intake.contract import Intake
from callsheet.intake.runner import IntakeRunner
from callsheet.logs import configure_logging
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings
from callsheet.testing.operations import ALL
from callsheet.wiring import open_runtime

CRASH_VARIABLE = "CALLSHEET_TESTING_CRASH_AT"


def _before_method(name: str) -> Callable[[type[Intake]], None]:
    def install(kind: type[Intake]) -> None:
        async def crash(*_args: Any, **_options: Any) -> None:
            _kill()

        setattr(kind, name, crash)

    return install


def _after_method(name: str) -> Callable[[type[Intake]], None]:
    def install(kind: type[Intake]) -> None:
        method = getattr(kind, name)

        async def crash(*args: Any, **options: Any) -> None:
            await method(*args, **options)
            _kill()

        setattr(kind, name, crash)

    return install


def _before_statement(name: str) -> Callable[[type[Intake]], None]:
    def install(_kind: type[Intake]) -> None:
        execute = Statement.__call__

        async def execute_or_crash(statement: Statement, connection: Any, **values: Any) -> Any:
            if statement.name == name:
                _kill()
            return await execute(statement, connection, **values)

        Statement.__call__ = execute_or_crash  # type: ignore[method-assign,assignment]

    return install


def _when_open(_kind: type[Intake]) -> None:
    def crash(*_args: Any) -> None:
        _kill()

    IntakeRunner._open = crash  # type: ignore[method-assign,assignment]


CRASH_POINTS: dict[str, Callable[[type[Intake]], None]] = {
    "taken": _before_method("plan"),
    "plan not stored": _before_statement("take_messages"),
    "plan stored": _when_open,
    "before the end is reported": _before_method("finish"),
    "after the end is reported": _after_method("finish"),
    "not closed": _before_statement("close_messages"),
}
"""The points by name, in the order of the steps of a message."""
PUSH_CRASH_POINTS: dict[str, Callable[[type[Intake]], None]] = {
    "status not stored": _before_statement("record_status_pushes"),
    "status not claimed": _before_statement("claim_status_pushes"),
    "status sent": _before_statement("record_status_push_attempts"),
}
"""Points of an intake that pushes statuses."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(path: str) -> None:
    """Run an intake until SIGTERM, or until it kills itself."""
    configure_logging()
    module, _, name = path.partition(":")
    kind: type[Intake] = getattr(importlib.import_module(module), name)
    if point := os.environ.get(CRASH_VARIABLE):
        {**CRASH_POINTS, **PUSH_CRASH_POINTS}[point](kind)
    async with open_runtime(Settings(_env_file=None), Catalog(ALL), wait=True) as runtime:
        runner = IntakeRunner(kind, runtime)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, runner.stop)
        await runner.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
