"""Signatures of outgoing webhooks, by the Standard Webhooks specification (https://www.standardwebhooks.com)."""

import base64
import hmac
from datetime import datetime

_PREFIX = "whsec_"


def webhook_secret(key: bytes) -> str:
    """Return the secret `whsec_…` with which receivers verify signatures. It is derived from the signing key."""
    return _PREFIX + base64.b64encode(_secret(key)).decode()


def signed_headers(key: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers with id, timestamp and signature of a message."""
    timestamp = str(int(at.timestamp()))
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    signature = base64.b64encode(hmac.digest(_secret(key), signed, "sha256")).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def _secret(key: bytes) -> bytes:
    return hmac.digest(key, b"callsheet outgoing webhooks", "sha256")
