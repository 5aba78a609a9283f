"""Page cursors: the last id of a page, signed so that clients cannot build cursors themselves."""

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Query

from callsheet.api.errors import ApiError

T = TypeVar("T")

Cursor = Annotated[str | None, Query(max_length=100, description="`nextCursor` of the previous page")]
Limit = Annotated[int, Query(ge=1, le=200)]

_SIGNATURE_BYTES = 12


def page_of(key: bytes, found: list[T], limit: int, id_of: Callable[[T], UUID]) -> tuple[list[T], str | None]:
    """Return a page of at most `limit` records, and the cursor of the next page; None: it is the last one.

    `found` has one record more than the page if there is a next page.
    """
    page = found[:limit]
    return page, encode_cursor(key, id_of(page[-1])) if len(found) > limit else None


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
