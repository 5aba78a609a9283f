"""Page cursors: the last id of a page, signed so that clients cannot build cursors themselves."""

import base64
import binascii
import hmac
from uuid import UUID

from callsheet.api.errors import ApiError

_SIGNATURE_BYTES = 12


def encode_cursor(key: bytes, last: UUID) -> str:
    """Return the cursor of the page that follows the id `last`."""
    return base64.urlsafe_b64encode(last.bytes + _signature(key, last.bytes)).rstrip(b"=").decode()


def decode_cursor(key: bytes, cursor: str) -> UUID:
    """Return the last id of the previous page. Raises ApiError for an invalid cursor."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 16 + _SIGNATURE_BYTES or not hmac.compare_digest(raw[16:], _signature(key, raw[:16])):
        raise ApiError(400, "bad_cursor", "The cursor is invalid.")
    return UUID(bytes=raw[:16])


def _signature(key: bytes, raw: bytes) -> bytes:
    return hmac.digest(key, b"callsheet cursor\n" + raw, "sha256")[:_SIGNATURE_BYTES]
