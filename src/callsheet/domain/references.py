"""References from one job's params to another job's result: `${job.path}`.

A string that is exactly one reference is replaced by the value itself. Inside a longer string, the value is inserted as
text. `$${` is an escaped `${`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from callsheet.domain.errors import BadParams, Problem

_REFERENCE = re.compile(r"\$\{(?<!\$\$\{)([^{}]*)\}")
_REFERENCE_OR_ESCAPE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_WHOLE = re.compile(r"\$\{([^{}]*)\}")
_PATH = re.compile(r"(?P<job>[A-Za-z0-9_][A-Za-z0-9_-]*)(?P<rest>(?:\.[A-Za-z_][A-Za-z0-9_]*|\[\d{1,9}\])*)")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d{1,9})\]")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed `${job.path}`: the job's id, and the steps into its result."""

    text: str
    job: str
    steps: tuple[str | int, ...]


def parse(inner: str) -> Reference | None:
    """Parse the text between the braces; None if it is not a reference."""
    match = _PATH.fullmatch(inner.strip())
    if match is None:
        return None
    steps = tuple(name or int(index) for name, index in _STEP.findall(match["rest"]))
    return Reference("${" + inner + "}", match["job"], steps)


def find(params: Any, path: str = "params") -> Iterator[tuple[str, str, Reference | None]]:
    """Yield (path in params, text, reference) for every `${…}`; the reference is None if it is malformed."""
    if isinstance(params, str):
        for match in _REFERENCE.finditer(params):
            yield path, match[0], parse(match[1])
    elif isinstance(params, dict):
        for key, value in params.items():
            yield from find(value, f"{path}.{key}")
    elif isinstance(params, list):
        for index, value in enumerate(params):
            yield from find(value, f"{path}[{index}]")


def has_reference(value: Any) -> bool:
    """Return whether any string in the value contains a reference."""
    return next(find(value), None) is not None


def resolve(params: Any, results: dict[str, Any], path: str = "params") -> Any:
    """Return the params with every reference replaced from `results` (job id → result, None if that job failed).

    Raises BadParams for a path that does not exist in the result.
    """
    if isinstance(params, dict):
        return {key: resolve(value, results, f"{path}.{key}") for key, value in params.items()}
    if isinstance(params, list):
        return [resolve(value, results, f"{path}[{i}]") for i, value in enumerate(params)]
    if not isinstance(params, str) or "${" not in params:
        return params
    if (whole := _WHOLE.fullmatch(params)) and (reference := parse(whole[1])):
        return _look_up(reference, results, path)

    def as_text(match: re.Match[str]) -> str:
        # Escapes and references are replaced in one pass, so that inserted text is not processed again.
        if match[0] == "$${":
            return "${"
        inner = parse(match[1])
        value = _look_up(inner, results, path) if inner else match[0]
        return value if isinstance(value, str) else json.dumps(value)

    return _REFERENCE_OR_ESCAPE.sub(as_text, params)


def _look_up(reference: Reference, results: dict[str, Any], path: str) -> Any:
    value = results.get(reference.job)
    if value is None:
        return None
    for step in reference.steps:
        try:
            value = _step_into(value, step)
        except (KeyError, IndexError, TypeError):
            message = f"{reference.text} cannot be resolved: the result of '{reference.job}' has no {_name(step)}"
            raise BadParams([Problem(path, "bad_reference", message)]) from None
    return value


def _step_into(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) else value[str(step)]
    return value[step] if step in value else value[to_camel(step)]


def _name(step: str | int) -> str:
    return f"item {step}" if isinstance(step, int) else f"'{step}'"
