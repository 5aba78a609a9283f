"""What commands stand on that work on this machine: settings, operations, an open runtime."""

import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from callsheet.domain.errors import ConfigurationError
from callsheet.logs import configure_logging
from callsheet.operation.catalog import Catalog, discover
from callsheet.settings import Settings


def load_settings(**given: Any) -> Settings:
    """Read the settings; command-line values override. Raises ConfigurationError with every problem."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError("\n  ".join(["The settings cannot be used:", *problems_of(error)])) from None
    except OSError as error:
        raise ConfigurationError(f"A setting names a file that cannot be read: {error}") from None


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
    configure_logging("debug" if verbose else level or settings.log_level, as_json=settings.log_json)


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
        raise ConfigurationError(f"There is no file '{module}' with operations.")
    return name
