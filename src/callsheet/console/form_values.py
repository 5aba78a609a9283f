"""Values of the fields of a form, read from the texts that a browser sends."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from callsheet.console.form_fields import FormField, shown
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import Problem
from callsheet.domain.json_text import read_json


@dataclass(frozen=True, slots=True)
class FilledField:
    """A field with its text and its problems."""

    field: FormField
    text: str
    problems: Sequence[str] = ()

    @property
    def is_on(self) -> bool:
        """Whether a box is checked."""
        return self.text == shown(True)


def empty_form(fields: Iterable[FormField]) -> list[FilledField]:
    """Return the fields with their defaults."""
    return [FilledField(field, shown(field.default)) for field in fields]


def filled_form(
    fields: Iterable[FormField], form: Mapping[str, str], problems: Iterable[Problem], path: str
) -> tuple[list[FilledField], list[Problem]]:
    """Return the fields as they were sent with the problems of each, and the problems of no field.

    `path` is that of the object of all fields, such as `inputs`.
    """
    filled = {field.name: FilledField(field, _text(field, form), []) for field in fields}
    others = []
    for problem in problems:
        name, rest = _split(problem.path, path)
        if name is None or name not in filled:
            others.append(problem)
            continue
        message = f"{rest}: {problem.message}" if rest else problem.message
        filled[name] = FilledField(filled[name].field, filled[name].text, [*filled[name].problems, message])
    return list(filled.values()), others


def read_values(
    fields: Iterable[FormField], form: Mapping[str, str], path: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values that differ from the defaults, and the problems of fields that cannot be read."""
    values: dict[str, Any] = {}
    problems = []
    for field in fields:
        text = _text(field, form)
        if text == shown(field.default) or (not text and not _may_be_empty(field)):
            continue
        try:
            values[field.name] = _value(field, text)
        except DocumentError as error:
            problems.append(Problem(f"{path}.{field.name}", "unreadable", error.located))
    return values, problems


def _may_be_empty(field: FormField) -> bool:
    """Return whether an empty field is an empty text, and not a value that was left out."""
    return not field.is_required and field.kind in ("text", "multiline") and field.types == {"string"}


def _text(field: FormField, form: Mapping[str, str]) -> str:
    text = form.get(field.key, "").replace("\r\n", "\n")
    if field.kind == "boolean":
        return shown(bool(text))
    return text if field.kind in ("text", "multiline") else text.strip()


def _value(field: FormField, text: str) -> Any:
    if field.kind == "file":
        return text
    if field.kind == "choice":
        return next((value for value in field.choices if shown(value) == text), text)
    if field.kind == "boolean":
        return text == shown(True)
    if field.kind == "list" and not text.startswith("["):
        return [_scalar(line.strip(), field.item_types) for line in text.splitlines() if line.strip()]
    if field.kind in ("list", "json"):
        is_text = "string" in field.types and not text.startswith(("{", "[", '"'))
        return text if is_text else read_json(text.encode(errors="replace"))
    return _scalar(text, field.types)


def _scalar(text: str, types: frozenset[str]) -> Any:
    """Return a number or a truth value where one is allowed, else the text, which the validation then refuses."""
    if types == {"string"} or not types:
        return text
    try:
        value = read_json(text.encode(errors="replace"))
    except DocumentError:
        return text
    if isinstance(value, bool):
        return value if "boolean" in types else text
    return value if isinstance(value, int | float) and types & {"integer", "number"} else text


def _split(place: str, path: str) -> tuple[str | None, str]:
    """Return the field of a path, and the path inside it: `inputs.scenes[0].src` is `scenes`, `[0].src`."""
    if not place.startswith(f"{path}."):
        return None, ""
    inner = place[len(path) + 1 :]
    end = next((index for index, letter in enumerate(inner) if letter in ".["), len(inner))
    return inner[:end], inner[end:].removeprefix(".")
