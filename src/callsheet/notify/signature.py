"""Signatures of outgoing webhooks, as Standard Webhooks lays them down (https://www.standardwebhooks.com)."""

import base64
import hmac
from datetime import datetime

_PREFIX = "whsec_"


def webhook_secret(key: bytes) -> str:
    """Return the secret that receivers check signatures with, `whsec_…`; the same as long as the signing key is."""
    return _PREFIX + base64.b64encode(_secret(key)).decode()


def signed_headers(key: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that tell a receiver which message this is, and that it is ours and fresh."""
    moment = str(int(at.timestamp()))
    signed = b".".join([message_id.encode(), moment.encode(), body])
    signature = base64.b64encode(hmac.digest(_secret(key), signed, "sha256")).decode()
    return {"webhook-id": message_id, "webhook-timestamp": moment, "webhook-signature": f"v1,{signature}"}


def _secret(key: bytes) -> bytes:
    return hmac.digest(key, b"callsheet outgoing webhooks", "sha256")
