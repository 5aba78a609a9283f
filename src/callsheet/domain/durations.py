"""Durations as people write them: `90`, `"90s"`, `"15m"`, `"1h"`."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TEXT = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*(ms|s|m|h|d)?")


def parse_duration(value: Any) -> Any:
    """Return a timedelta for a number of seconds or a text such as `15m`; other values are returned unchanged.

    Raises ValueError for a bool, an invalid text and a duration that is too long.
    """
    if isinstance(value, bool):
        raise ValueError("a duration is a number of seconds or a text such as '90s', '15m', '1h'")
    if isinstance(value, int | float):
        return _timedelta(value)
    if isinstance(value, str):
        match = _TEXT.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"'{value}' is not a duration: write seconds, or '90s', '15m', '1h', '2d'")
        return _timedelta(float(match[1]) * _UNITS[match[2] or "s"])
    return value


def duration_text(duration: timedelta) -> str:
    """Return a duration as people write it, in the largest unit that it has a whole number of: `6h`, `90s`."""
    seconds = duration.total_seconds()
    for unit in ("d", "h", "m", "s"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds:g}s"


def _timedelta(seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("the duration is too long") from None


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda d: d.total_seconds(), return_type=float),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^\d{1,18}(\.\d{1,18})?\s*(ms|s|m|h|d)?$"},
            ],
            "description": "Seconds, or a text such as '90s', '15m', '1h'",
            "examples": ["15m", 90],
        }
    ),
]
"""A duration. Parsed from a number of seconds or a text, serialized as seconds."""
