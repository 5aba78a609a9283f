"""Files as bare base64 in a response, recognized by their magic bytes."""

import base64
import binascii
from typing import Any

from callsheet.files.content_sniffing import sniff_bytes

_MIN_LENGTH = 64
_HEADER_LENGTH = 64
_MAX_DEPTH = 32


def with_data_uris(value: Any, depth: int = 0) -> Any:
    """Return a JSON value with every file in bare base64 replaced by a data URI."""
    if isinstance(value, str):
        media_type = _media_type(value)
        return value if media_type is None else f"data:{media_type};base64,{''.join(value.split())}"
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [with_data_uris(each, depth + 1) for each in value]
    if isinstance(value, dict):
        return {name: with_data_uris(each, depth + 1) for name, each in value.items()}
    return value


def decode_base64(text: str) -> bytes | None:
    """Return the decoded bytes; None for a text that is not base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _media_type(text: str) -> str | None:
    if len(text) < _MIN_LENGTH:
        return None
    # An MPEG audio frame has a header of two bytes only: too short to distinguish a file from an ordinary text.
    header = decode_base64("".join(text[: 2 * _HEADER_LENGTH].split())[:_HEADER_LENGTH]) or b""
    return None if header[:1] == b"\xff" and header[:3] != b"\xff\xd8\xff" else sniff_bytes(header)
