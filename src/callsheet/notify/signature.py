"""Secrets of outgoing webhooks.

They are derived from the signing key and are not stored, so a copy of the database contains none.
"""

import hmac
from uuid import UUID


def installation_secret(key: bytes) -> bytes:
    """Return the secret for callback URLs and alerts. `key` is the signing key."""
    return hmac.digest(key, b"callsheet outgoing webhooks", "sha256")


def endpoint_secret(key: bytes, endpoint_id: UUID, number: int) -> bytes:
    """Return a secret of an endpoint. A rotation raises its number."""
    return hmac.digest(key, f"callsheet webhook endpoint\n{endpoint_id}\n{number}".encode(), "sha256")
