"""Settings, logging and operation catalog for commands that work on this machine."""

import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from callsheet.domain.errors import ConfigurationError
from callsheet.logs import configure_logging
from callsheet.operation_api.catalog import Catalog, discover
from callsheet.settings import Settings


def load_settings(**options: Any) -> Settings:
    """Return the settings. Command-line options other than None take precedence.

    Raises ConfigurationError with every problem.
    """
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError("\n  ".join(["The settings are invalid:", *settings_problems(error)])) from None
    except OSError as error:
        raise ConfigurationError(f"A file that a setting names cannot be read: {error}") from None


def settings_problems(error: ValidationError) -> list[str]:
    """Return one line per invalid setting. The values are left out: some are secrets."""
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        message = item["msg"].removeprefix("Value error, ")
        name = ".".join(map(str, item["loc"]))
        lines.append(f"{name}: {message}" if name else message)
    return lines


def child_environment(**options: Any) -> dict[str, str]:
    """Return the environment of a child process, with the settings from command-line options."""
    variables = {f"CALLSHEET_{name.upper()}": str(value) for name, value in options.items() if value is not None}
    return {**os.environ, **variables}


def configure_command_logging(settings: Settings, *, verbose: bool, level: str | None = None) -> None:
    """Configure the logging of this process. `level` overrides the level of the settings, `verbose` both."""
    configure_logging("debug" if verbose else level or settings.log_level, as_json=settings.log_json)


def discover_operations(modules: Iterable[str] | None) -> Catalog:
    """Return the installed operations and those of the given modules or .py files."""
    return discover([_make_importable(module) for module in modules or ()])


def _make_importable(module: str) -> str:
    """Make a module importable from the working directory, or a file from its folder; return the module name."""
    file = Path(module)
    folder, name = (file.resolve().parent, file.stem) if file.suffix == ".py" else (Path.cwd(), module)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if file.suffix == ".py" and importlib.util.find_spec(name) is None:
        raise ConfigurationError(f"There is no file '{module}' with operations.")
    return name
