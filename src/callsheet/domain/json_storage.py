"""Conversion of arbitrary text and data to values that text and jsonb columns accept.

PostgreSQL accepts no NUL character and no lone surrogate, and JSON has no infinity. Messages and events must not be
lost for that reason, so such values are replaced instead of rejected.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson


def storable_text(text: str) -> str:
    """Return the text with each character that cannot be stored replaced by a visible one."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()


def storable_json(value: Any) -> str:
    """Return JSON for any value. Values without a JSON representation are written as text."""
    return orjson.dumps(_storable(value)).decode()


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {storable_text(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [_storable(item) for item in value]
    return storable_text(str(value))
