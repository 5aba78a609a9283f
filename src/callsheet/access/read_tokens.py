"""Read tokens: signed, short-lived access to one execution, for the browser of a person who follows it."""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from callsheet.domain.clock import shared_now
from callsheet.domain.errors import Unauthorized

PREFIX = "cst_"
MAX_LIFETIME = timedelta(hours=24)
_FIELDS = struct.Struct(">16s16sQ")
"""The execution, the issuer, and the expiry in seconds since 1970."""
_NO_ISSUER = UUID(int=0)


@dataclass(frozen=True, slots=True)
class ReadToken:
    """What a read token says."""

    execution_id: UUID
    issuer: UUID | None
    """The key or user that created it, and whose end ends the token; None: the key of the settings."""
    expires_at: datetime


def sign_read_token(key: bytes, token: ReadToken) -> str:
    """Return a token as text. Its expiry is cut to whole seconds."""
    issuer = token.issuer or _NO_ISSUER
    fields = _FIELDS.pack(token.execution_id.bytes, issuer.bytes, int(token.expires_at.timestamp()))
    return f"{PREFIX}{_encode(fields + _signature(key, fields))}"


def verify_read_token(key: bytes, text: str) -> ReadToken:
    """Return what a token says. Raises Unauthorized if it is forged or has expired."""
    try:
        content = _decode(text.removeprefix(PREFIX))
    except (ValueError, binascii.Error):
        content = b""
    fields, signature = content[: _FIELDS.size], content[_FIELDS.size :]
    if len(fields) < _FIELDS.size or not hmac.compare_digest(signature, _signature(key, fields)):
        raise Unauthorized("The read token is not valid.")
    execution, issuer, expires = _FIELDS.unpack(fields)
    expires_at = datetime.fromtimestamp(expires, UTC)
    if expires_at <= shared_now():
        raise Unauthorized("The read token has expired; request a new one.")
    return ReadToken(UUID(bytes=execution), UUID(bytes=issuer) if any(issuer) else None, expires_at)


def _signature(key: bytes, fields: bytes) -> bytes:
    return hmac.digest(key, b"callsheet read token\n" + fields, "sha256")


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
