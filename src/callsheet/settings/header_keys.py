"""Keys that are sent in an HTTP header."""

import re
from typing import Any

from pydantic import SecretStr

_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]*")


def check_header_key(value: Any) -> Any:
    """Return a key. Raises ValueError for a secret that cannot be sent in a header, without its text."""
    if isinstance(value, SecretStr) and (found := _first_invalid(value.get_secret_value())) is not None:
        raise ValueError(
            f"character {found} of the key is a control character or not ASCII; HTTP headers cannot contain it"
        )
    return value


def _first_invalid(key: str) -> int | None:
    """Return the position, from 1, of the first character that is not printable ASCII."""
    match = _PRINTABLE_ASCII.match(key)
    end = match.end() if match else 0
    return None if end == len(key) else end + 1
