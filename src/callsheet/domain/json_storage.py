"""Conversion of arbitrary text and data to values that text and jsonb columns accept.

PostgreSQL accepts no NUL character and no lone surrogate, and JSON has no infinity. Messages and events must not be
lost for that reason, so such values are replaced instead of rejected.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from callsheet.domain.plain_text import plain_text


def storable_text(text: str) -> str:
    """Return the text with each character that cannot be stored replaced by a visible one."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()


def shown_text(text: str) -> str:
    """Return a text for people, such as a message, without escape sequences and control characters."""
    return storable_text(plain_text(text))


def storable_json(value: Any) -> str:
    """Return JSON for any value. Values without a JSON representation are written as text."""
    return orjson.dumps(_storable(value, storable_text)).decode()


def shown_json(value: Any) -> str:
    """Return JSON for a value that people will see, such as an error or an event, with `shown_text` for its texts."""
    return orjson.dumps(_storable(value, shown_text)).decode()


def _storable(value: Any, convert: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return convert(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {convert(str(key)): _storable(item, convert) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [_storable(item, convert) for item in value]
    return convert(str(value))
