"""Whether a webhook is from whom it says it is. All of this works on the raw bytes that came."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import jwt
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callsheet.domain.errors import BadWebhook

_WINDOW = 300
"""Seconds that a signature may be old, or the clocks may differ."""
_PREFIX = "whsec_"
_LONGEST_ID = 256
_SHORTEST_KEY = 16
"""Bytes: an empty secret would be known to everybody."""


def verify_standard_webhook(secrets: Iterable[str], headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Check a call by the rules of Standard Webhooks, and return its message id, equal in every delivery.

    Any of the secrets (`whsec_…`) will do, as during a rotation. Raises BadWebhook.
    """
    given = _lowered(headers)
    message_id, moment = _header(given, "webhook-id"), _header(given, "webhook-timestamp")
    _refuse_old(moment, now)
    content = b".".join((message_id.encode(), moment.encode(), body))
    offered = [part.removeprefix("v1,") for part in _header(given, "webhook-signature").split(" ") if part[:3] == "v1,"]
    for secret in secrets:
        right = base64.b64encode(hmac.digest(_key(secret), content, "sha256"))
        if any(hmac.compare_digest(right, signature.encode()) for signature in offered):
            return message_id
    raise BadWebhook("The webhook's signature is not by our secret.")


def verify_fal_webhook(
    keys: Sequence[Mapping[str, Any]], headers: Mapping[str, str], body: bytes, now: datetime
) -> tuple[str, str]:
    """Check a call of fal's, and return the request's id and the account's, as signed. Raises BadWebhook.

    The keys are the same for all of fal's customers: it proves that fal calls, not for whom.
    """
    given = _lowered(headers)
    request_id, user_id, moment = (
        _header(given, f"x-fal-webhook-{name}") for name in ("request-id", "user-id", "timestamp")
    )
    _refuse_old(moment, now)
    signed = "\n".join((request_id, user_id, moment, hashlib.sha256(body).hexdigest())).encode()
    try:
        signature = bytes.fromhex(_header(given, "x-fal-webhook-signature"))
    except ValueError:
        raise BadWebhook("The webhook's signature is no hexadecimal number.") from None
    if not any(_is_by(key, signature, signed) for key in keys):
        raise BadWebhook("The webhook's signature is by none of fal's keys.")
    return request_id, user_id


def verify_google_webhook(
    keys: Sequence[Mapping[str, Any]], headers: Mapping[str, str], now: datetime
) -> tuple[str, Mapping[str, Any]]:
    """Check the token (JWT, RS256) of a call of Google's, and return the message id and what the token claims.

    How the token binds the body is not documented (2026-11), so that the body proves nothing. Raises BadWebhook.
    """
    given = _lowered(headers)
    message_id, token = _header(given, "webhook-id"), _header(given, "webhook-signature")
    _refuse_old(_header(given, "webhook-timestamp"), now)
    for key in _rsa_keys(keys, token):
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"], options=_BY_OUR_CLOCK)
        except jwt.PyJWTError:
            continue
        _refuse_expired(claims, now)
        return message_id, claims
    raise BadWebhook("The webhook's token is by none of Google's keys.")


_BY_OUR_CLOCK: Any = dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_aud", "verify_iss"), False)
"""Times are checked by the clock that is handed in; audience and issuer are not documented."""


def _rsa_keys(keys: Sequence[Mapping[str, Any]], token: str) -> list[jwt.PyJWK]:
    try:
        named = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        raise BadWebhook("The webhook's signature is no token.") from None
    found = []
    for key in keys:
        if key.get("kty") != "RSA" or (named is not None and key.get("kid") != named):
            continue
        try:
            found.append(jwt.PyJWK(dict(key), algorithm="RS256"))
        except jwt.PyJWTError:
            continue
    return found


def _refuse_expired(claims: Mapping[str, Any], now: datetime) -> None:
    moment = now.timestamp()
    begin, end = claims.get("nbf", claims.get("iat", moment)), claims.get("exp", moment)
    if not isinstance(begin, int | float) or not isinstance(end, int | float):
        raise BadWebhook("The webhook's token has times that are none.")
    if moment < begin - _WINDOW or moment > end + _WINDOW:
        raise BadWebhook("The webhook's token is not valid at this time.")


def _is_by(key: Mapping[str, Any], signature: bytes, signed: bytes) -> bool:
    if key.get("kty") != "OKP" or key.get("crv") != "Ed25519":
        return False
    try:
        public = Ed25519PublicKey.from_public_bytes(_unpadded(str(key.get("x"))))
        public.verify(signature, signed)
    except (ValueError, InvalidSignature):
        return False
    return True


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _lowered(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value or (name.endswith("id") and len(value) > _LONGEST_ID):
        raise BadWebhook(f"The webhook has no usable header '{name}'.")
    return value


def _refuse_old(moment: str, now: datetime) -> None:
    if not moment.isascii() or not moment.isdecimal() or len(moment) > 12:
        raise BadWebhook("The webhook's time is no number of seconds.")
    if abs(now.timestamp() - int(moment)) > _WINDOW:
        raise BadWebhook(f"The webhook was signed more than {_WINDOW} seconds from now.")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _SHORTEST_KEY:
        raise BadWebhook(f"Our webhook secret is not of the form {_PREFIX}… in base64.")
    return key


def read_json_object(body: bytes) -> Mapping[str, Any]:
    """Return what a checked webhook says, which must be a JSON object. Raises BadWebhook."""
    try:
        read = orjson.loads(body)
    except ValueError:
        raise BadWebhook("The webhook is no JSON.") from None
    if not isinstance(read, dict):
        raise BadWebhook("The webhook is no JSON object.")
    return read
