"""Lenient reading of JSON values: providers send other types than they document."""

import re
from collections.abc import Mapping
from typing import Any

_MAX_TEXT = 2_000
_PERCENT = re.compile(r"(\d{1,3})%\|")


def as_object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for any other value."""
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str | None:
    """Return a text without surrounding spaces, at most 2,000 characters; None for an empty text or another value."""
    return value.strip()[:_MAX_TEXT] or None if isinstance(value, str) else None


def url(value: Any) -> str | None:
    """Return a text without surrounding spaces, in full length: signed URLs can be long. None for another value."""
    return value.strip() or None if isinstance(value, str) else None


def number(value: Any) -> float | None:
    """Return a finite number below 1e15; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None


def fraction(value: Any, of: float = 1) -> float | None:
    """Return a number divided by `of`, clamped to 0 to 1; None for any other value."""
    parsed = number(value)
    return None if parsed is None else min(max(parsed / of, 0.0), 1.0)


def progress_in_text(logs: Any) -> float | None:
    """Return the value of the last progress bar in a log (`40%|####    |`), from 0 to 1; None without one."""
    bars = _PERCENT.findall(logs) if isinstance(logs, str) else []
    return min(int(bars[-1]), 100) / 100 if bars else None
