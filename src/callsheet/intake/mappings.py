"""How the body of a message becomes a plan: built-in mappings, plan files, and functions of the user.

A queue is mapped by one of:

- the name of a built-in mapping: `video-generation`, or `plan` for bodies that are plans themselves;
- `module:function`: a function that takes a `Payload` and returns a plan;
- the path of a plan file (`.yaml`, `.yml`, `.json`) with `{{field}}` where a value of the body belongs.
"""

import importlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import BadParams, CallsheetError, ConfigurationError, PlanRefused, Problem
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.settings import Settings

_PLACEHOLDER = re.compile(r"\{\{\s{0,9}([A-Za-z_][\w.-]{0,99})\s{0,9}\}\}")
_FILE_SUFFIXES = {".yaml", ".yml", ".json"}
_MAX_PRODUCT_ID = 500
"""Characters."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The body of a message, and where it came from."""

    source: str
    """Name of the queue."""
    name: str
    """Name of the job or task in the queue."""
    message_id: str
    data: Mapping[str, Any]
    settings: Settings

    @property
    def product_id(self) -> str:
        """Id of the job in the product: `jobId` of the body, else the id of the message."""
        return product_id(self.data, self.message_id)


def product_id(body: Any, message_id: str) -> str:
    """Return the id of a job in the product: `jobId` of the body of a message, else the id of the message."""
    found = body.get("jobId") if isinstance(body, Mapping) else None
    is_id = isinstance(found, str | int) and not isinstance(found, bool) and 0 < len(str(found)) <= _MAX_PRODUCT_ID
    return str(found) if is_id else message_id


PlanData: TypeAlias = Mapping[str, Any]
"""A plan (`{"jobs": […]}`), or a whole submission (`{"executionPlan": …}`), as clients send it."""
PlanMapping: TypeAlias = Callable[[Payload], PlanData]
"""Raises BadInput with all problems of the body."""


def plan_in_body(payload: Payload) -> PlanData:
    """Return a body that is a plan or a submission itself. It may have `jobId`, too: the id in the product."""
    return {name: value for name, value in payload.data.items() if name != "jobId"}


def find_mapping(name: str, built_in: Mapping[str, PlanMapping], settings: Settings) -> PlanMapping:
    """Return a mapping by its name in the settings. Raises ConfigurationError if there is no such mapping."""
    if name in built_in:
        return built_in[name]
    if Path(name).suffix in _FILE_SUFFIXES:
        return _plan_file(Path(name), settings)
    if ":" in name:
        return _function(name)
    raise ConfigurationError(
        f"There is no mapping '{name}'{did_you_mean(name, built_in)}. Known: {', '.join(sorted(built_in))}; or "
        "`module:function`; or the path of a plan file (.yaml or .json)."
    )


def _function(name: str) -> PlanMapping:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"The mapping '{name}' cannot be imported: {error}") from None
    if not callable(found):
        raise ConfigurationError(f"The mapping '{name}' is not a function.")
    mapping: PlanMapping = found
    return mapping


def _plan_file(path: Path, settings: Settings) -> PlanMapping:
    try:
        template = read_plan_text(path.read_bytes(), max_bytes=settings.max_body_bytes)
    except OSError as error:
        raise ConfigurationError(f"The plan file {path} cannot be read: {error.strerror}") from None
    except CallsheetError as error:
        raise ConfigurationError(f"The plan file {path} is invalid: {error}") from None

    def fill(payload: Payload) -> PlanData:
        filled, missing = fill_placeholders(template, payload.data)
        if missing:
            raise PlanRefused([Problem(name, "missing", "the plan file needs this field") for name in missing])
        data: PlanData = filled
        return data

    return fill


def fill_placeholders(template: Any, data: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return a document with each `{{field}}` replaced by a value of `data`, and the names of missing fields.

    A text that is one placeholder becomes the value itself, of any type. Inside of a longer text, values that are no
    texts are written as JSON. `{{user.name}}` finds nested fields.
    """
    missing: dict[str, None] = {}

    def value_of(match: "re.Match[str]") -> Any:
        found: Any = data
        for part in match[1].split("."):
            if not isinstance(found, Mapping) or part not in found:
                missing[match[1]] = None
                return ""
            found = found[part]
        return found

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(member) for key, member in value.items()}
        if isinstance(value, list):
            return [fill(member) for member in value]
        if not isinstance(value, str):
            return value
        whole = _PLACEHOLDER.fullmatch(value.strip())
        if whole is not None:
            return value_of(whole)
        return _PLACEHOLDER.sub(lambda match: as_text(value_of(match)), value)

    return fill(template), list(missing)


def as_text(value: Any) -> str:
    """Return a text unchanged, and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def require_object(body: Any) -> Mapping[str, Any]:
    """Return a body that is a JSON object. Raises BadParams for any other."""
    if not isinstance(body, Mapping):
        raise BadParams([Problem("", "wrong_type", f"must be a JSON object, not {type(body).__name__}")])
    return body
