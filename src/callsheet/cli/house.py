"""What commands stand on that work on this machine: settings, operations, an open house."""

import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import ValidationError

from callsheet.cli.faults import Unreachable
from callsheet.db.database import Database
from callsheet.domain.errors import SetupError
from callsheet.logs import set_up_logs
from callsheet.operations.catalog import Catalog, discover
from callsheet.settings import Settings
from callsheet.wiring import House, open_database, open_house


def load_settings(**given: Any) -> Settings:
    """Read the settings, with those given on the command line over them; raises SetupError with all that is wrong."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SetupError("\n  ".join(["The settings cannot be used:", *problems_of(error)])) from None
    except OSError as error:
        raise SetupError(f"A setting names a file that cannot be read: {error}") from None


def problems_of(error: ValidationError) -> list[str]:
    """Return what is wrong with the settings, a line each, without the values: some are secrets."""
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        message = item["msg"].removeprefix("Value error, ")
        name = ".".join(map(str, item["loc"]))
        lines.append(f"{name}: {message}" if name else message)
    return lines


def environment_of(**given: Any) -> dict[str, str]:
    """Return the environment for a child that shall have the settings given on the command line."""
    named = {f"CALLSHEET_{name.upper()}": str(value) for name, value in given.items() if value is not None}
    return {**os.environ, **named}


def log_as(settings: Settings, *, verbose: bool, level: str | None = None) -> None:
    """Set up the log of this process; `level` stands in for that of the settings."""
    set_up_logs("debug" if verbose else level or settings.log_level, as_json=settings.log_json)


def catalog_of(modules: Iterable[str] | None) -> Catalog:
    """Return the installed operations with those of these modules or .py files."""
    return discover([_importable(module) for module in modules or ()])


def _importable(module: str) -> str:
    """Make a module importable as `python -m` would, from the working folder, or a file from its own."""
    file = Path(module)
    folder, name = (file.resolve().parent, file.stem) if file.suffix == ".py" else (Path.cwd(), module)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if file.suffix == ".py" and importlib.util.find_spec(name) is None:
        raise SetupError(f"There is no file '{module}' with operations.")
    return name


@asynccontextmanager
async def reached_house(settings: Settings, catalog: Catalog, *, migrate: bool = False) -> AsyncIterator[House]:
    """Open the house; raises Unreachable when its database does not answer."""
    house = open_house(settings, catalog, migrate=migrate)
    async with _reached(house, settings) as opened:
        yield opened


@asynccontextmanager
async def reached_database(settings: Settings, *, migrate: bool = False) -> AsyncIterator[Database]:
    """Open the database alone; raises Unreachable when it does not answer."""
    async with _reached(open_database(settings, migrate=migrate), settings) as opened:
        yield opened


@asynccontextmanager
async def _reached(opening: Any, settings: Settings) -> AsyncIterator[Any]:
    try:
        opened = await opening.__aenter__()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise unreachable(settings, error) from error
    try:
        yield opened
    except BaseException:
        if not await opening.__aexit__(*sys.exc_info()):
            raise
    else:
        await opening.__aexit__(None, None, None)


def unreachable(settings: Settings, error: BaseException) -> Unreachable:
    """Say which database does not answer, and what to do."""
    if settings.database_url is None:
        return Unreachable(f"The embedded database in {settings.data_dir} does not answer ({type(error).__name__}).")
    place = settings.database_url.get_secret_value().rpartition("@")[2].partition("?")[0]
    return Unreachable(f"The database at {place} does not answer. Check DATABASE_URL, and that PostgreSQL runs there.")
