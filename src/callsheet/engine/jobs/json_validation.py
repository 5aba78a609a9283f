"""What somebody gave, as the JSON that is stored: unchanged, or refused."""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from callsheet.domain.errors import PlanRefused, Problem


def validated_json(value: Any, path: str) -> str:
    """Return the value as JSON; raises PlanRefused, naming the path, for what the database could not give back."""
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError) as error:
        raise PlanRefused([Problem(path, "not_json", f"cannot be written as JSON: {error}")]) from None
    # What these two may stand for does not survive the way through the database.
    if "\\u0000" in text or "null" in text:
        for leaf in _leaves(value):
            if isinstance(leaf, str) and "\0" in leaf:
                raise PlanRefused([Problem(path, "nul_character", "must not hold a NUL character")])
            if isinstance(leaf, float) and not math.isfinite(leaf):
                raise PlanRefused([Problem(path, "not_json", f"must not hold {leaf}, which JSON has no form for")])
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
