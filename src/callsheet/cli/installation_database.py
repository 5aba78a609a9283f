"""Work in the database of this installation, without a server: for what gives access to one."""

import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from callsheet.access.audit import Change, record_changes
from callsheet.cli.bootstrap import configure_command_logging, load_settings
from callsheet.cli.loop import run_async
from callsheet.db.database import Connection, Database
from callsheet.domain.callers import Caller
from callsheet.domain.errors import ProblemList
from callsheet.domain.scopes import EVERYTHING
from callsheet.domain.validation_problems import validation_problems
from callsheet.wiring import open_database

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def in_database(
    work: Callable[[Database], Awaitable[T]], data_dir: Path | None, database_url: str | None, *, verbose: bool
) -> T:
    """Run `work` with the database of this installation, and return its result."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    configure_command_logging(settings, verbose=verbose, level="warning")

    async def opened() -> T:
        async with open_database(settings, migrate=False) as database:
            return await work(database)

    return run_async(opened())


def command_caller() -> Caller:
    """Return the person who runs a command, as a caller."""
    return Caller("cli", f"{getpass.getuser()} (command line)", EVERYTHING)


async def record_command(connection: Connection, command: str, target: str) -> None:
    """Record a change by a command in the audit log, in the transaction of the change."""
    await record_changes(connection, [Change(command_caller(), command, target)])


def parsed(model: type[M], **options: object) -> M:
    """Return a request made of the options that are not None. Raises ProblemList with every problem."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ProblemList(validation_problems(error, model, given), "The options are invalid") from None
