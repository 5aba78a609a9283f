"""Signatures by the Standard Webhooks specification (https://www.standardwebhooks.com)."""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime

_PREFIX = "whsec_"


def secret_text(secret: bytes) -> str:
    """Return a secret in the form that receivers use: `whsec_…`."""
    return _PREFIX + base64.b64encode(secret).decode()


def signed_headers(secrets: Sequence[bytes], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers with id, timestamp and the signatures of a message, one for each secret."""
    timestamp = str(int(at.timestamp()))
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    signatures = (base64.b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def read_secret_text(text: str) -> bytes:
    """Return the secret in a text `whsec_…`. Raises ValueError for another text, and for less than 16 bytes."""
    if not text.startswith(_PREFIX):
        raise ValueError(f"a secret starts with {_PREFIX}")
    secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    if len(secret) < 16:
        raise ValueError("a secret has at least 16 bytes, in base64")
    return secret
