"""Translation of pydantic's validation errors to problems, and back."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from callsheet.domain import references
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import Problem
from callsheet.domain.model_types import field_names, member_types, unwrap
from callsheet.domain.validation_messages import plain_message, shown_value

M = TypeVar("M", bound=BaseModel)

_MESSAGE = "message"
"""Context key of a pydantic error that carries the message of a Problem."""
_KEPT = "kept"
"""Context key that says whether the error is reported although its place contains a reference."""
_MAX_ERRORS = 10_000
"""Pydantic errors that are read. One value of a union can cause several."""


def validation_error(problems: Iterable[Problem], title: str, *, knows_references: bool = False) -> ValidationError:
    """Return a ValidationError for a model's own validator to raise; `validation_problems` restores the problems.

    The paths of the problems are field names joined by dots. With `knows_references`, the validator has left out
    problems at references itself.
    """
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(problem.code, "{message}", {_MESSAGE: problem.message, _KEPT: knows_references}),
            loc=tuple(problem.path.split(".")) if problem.path else (),
            input=None,
        )
        for problem in problems
    ]
    return ValidationError.from_exception_data(title, lines)


def all_problems(error: ValidationError, model: type[M], raw: Any, *, context: Any = None) -> Iterator[Problem]:
    """Yield the problems of `raw`, whose validation as `model` failed with `error`.

    Pydantic checks conditions between fields only when each field is valid. So unknown fields are removed and the rest
    is validated again: an unknown field does not hide other problems. Problems at references are left out.
    """
    first = list(validation_problems(error, model, raw))
    yield from first
    unknown = [item["loc"] for item in _errors(error) if item["type"] == "extra_forbidden"]
    if not unknown:
        return
    found = {(problem.path, problem.code) for problem in first}
    try:
        model.model_validate(_without(raw, unknown), context=context)
    except ValidationError as second:
        for problem in validation_problems(second, model, raw):
            if (problem.path, problem.code) not in found:
                yield problem


def _without(raw: Any, locations: Iterable[tuple[str | int, ...]]) -> Any:
    """Return data without the fields at these pydantic locations, which also name the union members that were tried."""
    removed: dict[Any, Any] = {}
    for *steps, name in locations:
        value, branch = raw, removed
        for step in steps:
            if _has_member(value, step):
                value, branch = value[step], branch.setdefault(step, {})
        if isinstance(value, dict):
            branch[name] = None
    return _pruned(raw, removed)


def _has_member(value: Any, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _pruned(value: Any, removed: dict[Any, Any]) -> Any:
    """Return a copy without the fields that are None in `removed`, which has the shape of the data."""
    if not removed:
        return value
    if isinstance(value, list):
        return [_pruned(item, removed.get(index) or {}) for index, item in enumerate(value)]
    kept = {name: item for name, item in value.items() if removed.get(name, {}) is not None}
    return {name: _pruned(item, removed.get(name) or {}) for name, item in kept.items()}


def _errors(error: ValidationError) -> Iterator[Any]:
    return islice(error.errors(include_url=False, include_context=True), _MAX_ERRORS)


def validation_problems(error: ValidationError, model: type[BaseModel], raw: Any = None) -> Iterator[Problem]:
    """Yield the problems of a failed validation of `model`.

    Errors at places where `raw` contains a reference are left out: the value is not known yet. Of a union, only the
    errors of the member that the value was meant for are reported.
    """
    unions: dict[str, dict[str, list[_FieldError]]] = {}
    for item in _errors(error):
        kept = item.get("ctx", {}).get(_KEPT, False)
        if raw is not None and not kept and _is_reference_at(raw, item["loc"]):
            continue
        field_error = _FieldError(item, model)
        if field_error.union_path is None:
            yield field_error.problem()
        else:
            unions.setdefault(field_error.union_path, {}).setdefault(field_error.member, []).append(field_error)
    for path, members in unions.items():
        yield from _problems_of_union(path, list(members.values()))


class _FieldError:
    """One pydantic error, with its path in the data.

    The location of a pydantic error also names the union member that was tried (`src.Artifact.name`, `src.str`).
    These names are not part of the data, so they are removed from the path: `src.name`, `src`.
    """

    def __init__(self, item: Any, model: type[BaseModel]) -> None:
        self.item = item
        self.union_path: str | None = None
        """Path of the outermost union on the way to the error; None without one."""
        self.member = ""
        """Pydantic's name of the union member that was tried."""
        steps: list[str | int] = []
        types: list[Any] = [model]
        for number, step in enumerate(item["loc"]):
            inner = [found for declared in types for plain in unwrap(declared) for found in member_types(plain, step)]
            is_unknown_field = item["type"] == "extra_forbidden" and number == len(item["loc"]) - 1
            if inner or is_unknown_field or isinstance(step, int) or not _is_union(types):
                steps.append(step)
                types = inner or types
            elif self.union_path is None:
                self.union_path, self.member = _path(tuple(steps)), step
        self.path = _path(tuple(steps))
        self._is_secret = any(plain in (SecretStr, SecretBytes) for declared in types for plain in unwrap(declared))
        self._siblings = [name for declared in types for plain in unwrap(declared) for name in field_names(plain)]

    @property
    def is_type_mismatch(self) -> bool:
        """Whether the value does not even have the type of the union member."""
        return self.path == self.union_path and self.item["type"].endswith(("_type", "_parsing"))

    @property
    def expected(self) -> str:
        """The expected type, as pydantic describes it."""
        return plain_message(self.item).removeprefix("input should be ").partition(",")[0]

    def problem(self) -> Problem:
        if _MESSAGE in self.item.get("ctx", {}):
            return Problem(self.path, self.item["type"], self.item["msg"])
        message = plain_message(self.item)
        if self.item["type"] == "extra_forbidden":
            message = f"unknown field{did_you_mean(str(self.item['loc'][-1]), self._siblings)}"
        elif self.item["type"] != "missing" and not self._is_secret:
            message = f"{message}; got {shown_value(self.item['input'])}"
        return Problem(self.path, self.item["type"], message)


def _is_union(types: list[Any]) -> bool:
    return len([plain for declared in types for plain in unwrap(declared)]) > 1


def _problems_of_union(path: str, members: list[list[_FieldError]]) -> Iterator[Problem]:
    matching = [errors for errors in members if not any(error.is_type_mismatch for error in errors)]
    if matching:
        # The member with the fewest errors is most likely the one that was meant.
        yield from (error.problem() for error in min(matching, key=len))
        return
    tried = [errors[0] for errors in members]
    expected = " or ".join(dict.fromkeys(error.expected for error in tried))
    yield Problem(path, "wrong_type", f"input should be {expected}; got {shown_value(tried[0].item['input'])}")


def _is_reference_at(raw: Any, loc: tuple[str | int, ...]) -> bool:
    value = raw
    for step in loc:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            break
    return value is not raw and references.has_reference(value)


def _path(loc: tuple[str | int, ...]) -> str:
    path = ""
    for step in loc:
        if step == "[key]":  # pydantic's mark of an invalid name of a member
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path
