"""Parses plans from JSON or YAML text."""

import re
from typing import Any

from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import PlanRefused, Problem, TooLarge
from callsheet.domain.json_text import read_json
from callsheet.domain.yaml_text import Located, locate_yaml, read_yaml

_STEP = re.compile(r"([^.\[\]]+)|\[(\d{1,9})\]")


def read_plan_text(text: str | bytes, *, max_bytes: int) -> Any:
    """Return the data of a JSON or YAML document.

    Raises TooLarge for more than `max_bytes`, and PlanRefused with line and column for a syntax error and for an
    exceeded limit (`document_limits`).
    """
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > max_bytes:
        raise TooLarge(f"The plan has {len(raw):,} bytes; the limit is {max_bytes:,} bytes")
    try:
        return read_json(raw) if _is_json(raw) else read_yaml(raw)
    except DocumentError as error:
        raise _refused(error) from None


def with_lines(refused: PlanRefused, text: str | bytes) -> PlanRefused:
    """Return the problems of a plan with line and column in its text, if the text is YAML.

    A problem of a missing field gets the place of the object that should have it.
    """
    raw = text.encode() if isinstance(text, str) else text
    if _is_json(raw):
        return refused
    try:
        root = locate_yaml(raw)
    except DocumentError:
        return refused  # the problem is the text itself, and has its place already

    def with_line(problem: Problem) -> Problem:
        place = _deepest(root, problem.path)
        position = f" (line {place.line}, column {place.column})"
        return Problem(problem.path, problem.code, problem.message + position)

    return refused.located(with_line)


def _deepest(root: Located, path: str) -> Located:
    """Return the value at a path such as `jobs[0].params.src`, or the innermost value around it."""
    place = root
    for name, index in _STEP.findall(path):
        step = name or int(index)
        found = _member(place, step)
        if found is None and place is root:
            plan = _member(root, "executionPlan") or _member(root, "execution_plan")
            found = _member(plan, step) if plan is not None else None
        if found is None:
            break
        place = found
    return place


def _member(value: Located, step: str | int) -> Located | None:
    if isinstance(value.members, dict):
        return value.members.get(step)
    if isinstance(value.members, list) and isinstance(step, int) and step < len(value.members):
        return value.members[step]
    return None


def _is_json(raw: bytes) -> bool:
    return raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _refused(error: DocumentError) -> PlanRefused:
    if error.is_limit:
        return PlanRefused([Problem("", "too_large", error.located)], "The plan exceeds a limit")
    return PlanRefused([Problem("", "unreadable", error.located)], "The plan is not valid JSON or YAML")
