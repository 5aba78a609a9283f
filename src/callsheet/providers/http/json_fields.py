"""Values of an answer, which may be anything whatever its documentation says."""

import re
from collections.abc import Mapping
from typing import Any

_LONGEST = 2_000
_PERCENT = re.compile(r"(\d{1,3})%\|")


def as_object(value: Any) -> Mapping[str, Any]:
    """Return an object as it is, anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str | None:
    """Return a text that says something, in bounds for a message; None for anything else."""
    return value.strip()[:_LONGEST] or None if isinstance(value, str) else None


def url(value: Any) -> str | None:
    """Return a text that says something, in its whole length: signed addresses may be long. None for anything else."""
    return value.strip() or None if isinstance(value, str) else None


def number(value: Any) -> float | None:
    """Return a number that is none of the odd ones; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None


def fraction(value: Any, of: float = 1) -> float | None:
    """Return a number's share of `of`, from 0 to 1."""
    told = number(value)
    return None if told is None else min(max(told / of, 0.0), 1.0)


def progress_in_text(logs: Any) -> float | None:
    """Return what the last progress bar in a log shows, from 0 to 1 (`40%|####    |`); None where there is none."""
    bars = _PERCENT.findall(logs) if isinstance(logs, str) else []
    return min(int(bars[-1]), 100) / 100 if bars else None
