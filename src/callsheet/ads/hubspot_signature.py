"""The signature of HubSpot's webhooks, version 3.

`X-HubSpot-Signature-v3` is the Base64 text of the HMAC-SHA256, by the client secret of the app, of the method, the URI,
the body and `X-HubSpot-Request-Timestamp` (milliseconds since 1970), joined without separators. HubSpot signs the URI
with some of its percent-encodings decoded (https://developers.hubspot.com/docs/api/webhooks/validating-requests).
"""

import base64
import hmac
import re
from collections.abc import Mapping

from callsheet.domain.errors import BadWebhook

MAX_AGE = 300.0
"""Seconds. Receivers are to reject older requests, says HubSpot."""

_DECODED = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}
"""The encodings that HubSpot decodes before it signs."""
_ENCODED = re.compile("|".join(_DECODED), re.IGNORECASE)


def signature(secret: str, method: str, uri: str, body: bytes, timestamp: str) -> str:
    """Return the signature of a request. `timestamp` is the text of the header."""
    message = f"{method}{uri}".encode() + body + timestamp.encode()
    return base64.b64encode(hmac.digest(secret.encode(), message, "sha256")).decode()


def verify(secret: str, headers: Mapping[str, str], *, method: str, uri: str, body: bytes, now: float) -> None:
    """Raise BadWebhook unless the request is signed with the secret, at most five minutes before or after `now`.

    `uri` is the whole URL that HubSpot called, with its query; `now` is in seconds since 1970.
    """
    given, timestamp = headers.get("x-hubspot-signature-v3"), headers.get("x-hubspot-request-timestamp")
    if not given or not timestamp:
        raise BadWebhook("The headers X-HubSpot-Signature-v3 and X-HubSpot-Request-Timestamp are needed.")
    if not re.fullmatch(r"[0-9]{1,15}", timestamp) or abs(now - int(timestamp) / 1000) > MAX_AGE:
        raise BadWebhook("X-HubSpot-Request-Timestamp must be a time in milliseconds, at most 5 minutes ago.")
    decoded = _ENCODED.sub(lambda match: _DECODED[match[0].upper()], uri)
    # Clients of HubSpot sign the URI as it is. Both texts need the secret.
    expected = [signature(secret, method, each, body, timestamp) for each in (decoded, uri)]
    if not any(hmac.compare_digest(each.encode(), given.encode()) for each in expected):
        raise BadWebhook(
            "The signature is wrong: check the client secret, and that CALLSHEET_PUBLIC_URL is the URL "
            "that HubSpot calls."
        )
