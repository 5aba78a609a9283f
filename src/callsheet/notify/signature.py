"""Signatures of outgoing webhooks, by the Standard Webhooks specification (https://www.standardwebhooks.com).

Secrets are derived from the signing key and are not stored, so a copy of the database contains none.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

_PREFIX = "whsec_"


def installation_secret(key: bytes) -> bytes:
    """Return the secret for callback URLs and alerts. `key` is the signing key."""
    return hmac.digest(key, b"callsheet outgoing webhooks", "sha256")


def endpoint_secret(key: bytes, endpoint_id: UUID, number: int) -> bytes:
    """Return a secret of an endpoint. A rotation raises its number."""
    return hmac.digest(key, f"callsheet webhook endpoint\n{endpoint_id}\n{number}".encode(), "sha256")


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
