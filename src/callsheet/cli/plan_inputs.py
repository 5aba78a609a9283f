"""Values of the inputs of a plan, from options and files."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from callsheet.domain.plan_inputs import PlanInput

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME=VALUE",
        help="Value of an input of the plan; NAME=@FILE reads a text from a file; repeatable",
    ),
]


def read_inputs(options: Sequence[str] | None, declared: "Mapping[str, PlanInput]") -> dict[str, Any]:
    """Return the values of `--input` options by the types of the inputs.

    Paths of files become absolute. Raises BadParameter for an option without `=`, and for a value that does not have
    the type. Unknown names are kept: the validation reports them with the other problems.
    """
    values: dict[str, Any] = {}
    for option in options or ():
        name, equals, text = option.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"'{option}' is not NAME=VALUE", param_hint="--input")
        values[name] = _value(name, text, declared[name].type if name in declared else "string")
    return values


def read_table(file: Path, declared: "Mapping[str, PlanInput]") -> list[dict[str, Any]]:
    """Return the rows of a table of inputs: CSV with a header, JSON Lines, or a JSON list of objects.

    An empty cell of a CSV file is no value. Raises BadParameter for a file that cannot be read.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"'{file}' cannot be read: {error}", param_hint="TABLE") from None
    if file.suffix.lower() == ".csv":
        return [
            {name: _value(name, cell, declared[name].type if name in declared else "string") for name, cell in row}
            for row in _csv_rows(text)
        ]
    try:
        rows = json.loads(text) if text.lstrip().startswith("[") else [*map(json.loads, _lines(text))]
    except ValueError as error:
        raise typer.BadParameter(f"'{file}' is neither JSON nor JSON Lines: {error}", param_hint="TABLE") from None
    if not all(isinstance(row, dict) for row in rows):
        raise typer.BadParameter(f"'{file}' must have one object for each row", param_hint="TABLE")
    return rows


def local_files(values: Mapping[str, Any], declared: "Mapping[str, PlanInput]") -> dict[str, Path]:
    """Return the local files that values of inputs name, as absolute paths, by input."""
    return {name: path.resolve() for name, path in _paths(values, declared) if path.is_file()}


def missing_files(values: Mapping[str, Any], declared: "Mapping[str, PlanInput]") -> dict[str, str]:
    """Return the paths in values of inputs that lead to no file here, by input."""
    return {name: str(path) for name, path in _paths(values, declared) if not path.is_file()}


def _paths(values: Mapping[str, Any], declared: "Mapping[str, PlanInput]") -> Iterator[tuple[str, Path]]:
    from callsheet.cli.plan_files import is_path

    for name, value in values.items():
        if name in declared and declared[name].type == "file" and isinstance(value, str) and is_path(value):
            yield name, Path(value)


def _csv_rows(text: str) -> Iterator[list[tuple[str, str]]]:
    for row in csv.DictReader(text.splitlines()):
        if None in row:
            raise typer.BadParameter("a row of the table has more cells than its header", param_hint="TABLE")
        yield [(name, cell) for name, cell in row.items() if cell]


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _value(name: str, text: str, kind: str) -> Any:
    if text.startswith("@") and not text.startswith("@@") and kind != "file":
        text = _file_text(name, Path(text[1:]))
    elif text.startswith("@@"):
        text = text[1:]
    if kind == "string":
        return text
    if kind == "file":
        path = Path(text).expanduser()
        return str(path.resolve()) if path.is_file() else text
    try:
        return json.loads(text)
    except ValueError:
        raise typer.BadParameter(f"{name}: '{text[:80]}' is not of type {kind}", param_hint="--input") from None


def _file_text(name: str, file: Path) -> str:
    try:
        return file.read_text("utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{name}: '{file}' cannot be read: {error}", param_hint="--input") from None
