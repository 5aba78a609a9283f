"""Words and data that come from anywhere, made fit for a text or jsonb column.

PostgreSQL holds no NUL and no half of a surrogate pair, JSON no infinity. Where refusing them would lose what somebody
has to be told, they are written otherwise.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson


def storable_text(text: str) -> str:
    """Return the text with a visible sign for each character that cannot be stored."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()


def storable_json(value: Any) -> str:
    """Return JSON of anything; what JSON has no form for is written as its text."""
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
