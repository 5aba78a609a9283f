"""Validation of JSON values that PostgreSQL must store unchanged."""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from callsheet.domain.errors import PlanRefused, Problem


def validated_json(value: Any, path: str) -> str:
    """Return the value as JSON text. Raises PlanRefused, with the path, for a value that jsonb cannot store."""
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError) as error:
        raise PlanRefused([Problem(path, "not_json", f"cannot be written as JSON: {error}")]) from None
    # jsonb rejects NUL, and orjson writes NaN and infinity as null. The text shows quickly whether to look closer.
    if "\\u0000" in text or "null" in text:
        for leaf in _leaves(value):
            if isinstance(leaf, str) and "\0" in leaf:
                raise PlanRefused([Problem(path, "nul_character", "must not contain a NUL character")])
            if isinstance(leaf, float) and not math.isfinite(leaf):
                raise PlanRefused([Problem(path, "not_json", f"must not contain {leaf}, which JSON cannot represent")])
    return text


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
