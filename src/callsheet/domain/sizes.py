"""Sizes as people write them: `512MB`, `4GB`, `1.5GiB`, or a number of bytes."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_TEXT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s?([a-z]{0,3})", re.IGNORECASE)


def parse_size(value: Any) -> Any:
    """Return a number of bytes for a text such as `4GB` or `512 MiB`; other values are returned unchanged.

    Raises ValueError for a text that is no size.
    """
    if not isinstance(value, str):
        return value
    match = _TEXT.fullmatch(value.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(f"'{value}' is not a size: write bytes, or '512MB', '4GB', '1.5GiB'")
    return int(float(match[1]) * _UNITS[match[2].lower()])


Size = Annotated[int, BeforeValidator(parse_size)]
"""A number of bytes. Parsed from an integer or a text."""
