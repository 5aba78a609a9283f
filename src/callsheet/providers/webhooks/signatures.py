"""Verification of webhook signatures, over the raw bytes of the body."""

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

from callsheet.domain.document_limits import check_size
from callsheet.domain.errors import BadWebhook

_TOLERANCE = 300
"""Maximum difference, in seconds, between the timestamp of a signature and our clock."""
_PREFIX = "whsec_"
_MAX_ID_LENGTH = 256
_MIN_KEY_LENGTH = 16
"""Bytes. Everybody can sign with an empty secret."""


def verify_standard_webhook(secrets: Iterable[str], headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Verify a signature of the Standard Webhooks specification and return the message id, equal in every delivery.

    During a rotation there are several secrets (`whsec_…`); one of them must match. Raises BadWebhook.
    """
    lowered = _lower_names(headers)
    message_id, timestamp = _header(lowered, "webhook-id"), _header(lowered, "webhook-timestamp")
    _check_timestamp(timestamp, now)
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = [
        part.removeprefix("v1,") for part in _header(lowered, "webhook-signature").split(" ") if part[:3] == "v1,"
    ]
    for secret in secrets:
        expected = base64.b64encode(hmac.digest(_key(secret), signed, "sha256"))
        if any(hmac.compare_digest(expected, signature.encode()) for signature in signatures):
            return message_id
    raise BadWebhook("The webhook's signature does not match our secret.")


def verify_fal_webhook(
    keys: Sequence[Mapping[str, Any]], headers: Mapping[str, str], body: bytes, now: datetime
) -> tuple[str, str]:
    """Verify the signature of a webhook of fal and return the signed request id and user id. Raises BadWebhook.

    The keys are the same for all customers of fal (2026-11): a signature proves the sender, not the account.
    """
    lowered = _lower_names(headers)
    request_id, user_id, timestamp = (
        _header(lowered, f"x-fal-webhook-{name}") for name in ("request-id", "user-id", "timestamp")
    )
    _check_timestamp(timestamp, now)
    signed = "\n".join((request_id, user_id, timestamp, hashlib.sha256(body).hexdigest())).encode()
    try:
        signature = bytes.fromhex(_header(lowered, "x-fal-webhook-signature"))
    except ValueError:
        raise BadWebhook("The webhook's signature is not hexadecimal.") from None
    if not any(_verifies(key, signature, signed) for key in keys):
        raise BadWebhook("The webhook's signature does not match any of fal's keys.")
    return request_id, user_id


def verify_google_webhook(
    keys: Sequence[Mapping[str, Any]], headers: Mapping[str, str], now: datetime
) -> tuple[str, Mapping[str, Any]]:
    """Verify the token (JWT, RS256) of a webhook of Google and return the message id and the claims of the token.

    How the token binds the body is undocumented (2026-11): the body is not verified. Raises BadWebhook.
    """
    lowered = _lower_names(headers)
    message_id, token = _header(lowered, "webhook-id"), _header(lowered, "webhook-signature")
    _check_timestamp(_header(lowered, "webhook-timestamp"), now)
    for key in _rsa_keys(keys, token):
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"], options=_NO_CLAIM_CHECKS)
        except jwt.PyJWTError:
            continue
        _check_validity(claims, now)
        return message_id, claims
    raise BadWebhook("The webhook's token does not match any of Google's keys.")


_NO_CLAIM_CHECKS: Any = dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_aud", "verify_iss"), False)
"""`_check_validity` checks the times with the given clock; audience and issuer are undocumented."""


def _rsa_keys(keys: Sequence[Mapping[str, Any]], token: str) -> list[jwt.PyJWK]:
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        raise BadWebhook("The webhook's signature is not a JWT.") from None
    usable = []
    for key in keys:
        if key.get("kty") != "RSA" or (key_id is not None and key.get("kid") != key_id):
            continue
        try:
            usable.append(jwt.PyJWK(dict(key), algorithm="RS256"))
        except jwt.PyJWTError:
            continue
    return usable


def _check_validity(claims: Mapping[str, Any], now: datetime) -> None:
    current = now.timestamp()
    start, end = claims.get("nbf", claims.get("iat", current)), claims.get("exp", current)
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        raise BadWebhook("The webhook's token has an nbf, iat or exp that is not a number.")
    if current < start - _TOLERANCE or current > end + _TOLERANCE:
        raise BadWebhook("The webhook's token is not valid at this time.")


def _verifies(key: Mapping[str, Any], signature: bytes, signed: bytes) -> bool:
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


def _lower_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value or (name.endswith("id") and len(value) > _MAX_ID_LENGTH):
        raise BadWebhook(f"The webhook has no valid header '{name}'.")
    return value


def _check_timestamp(timestamp: str, now: datetime) -> None:
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 12:
        raise BadWebhook("The webhook's timestamp is not a number of seconds.")
    if abs(now.timestamp() - int(timestamp)) > _TOLERANCE:
        raise BadWebhook(f"The webhook was signed more than {_TOLERANCE} seconds before or after now.")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _MIN_KEY_LENGTH:
        raise BadWebhook(f"The webhook secret in the settings does not have the form {_PREFIX}<base64>.")
    return key


def read_json_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in the body of a webhook. Raises BadWebhook for any other body."""
    try:
        parsed = orjson.loads(body)
        check_size(parsed)
    except ValueError:
        raise BadWebhook("The webhook is not JSON.") from None
    if not isinstance(parsed, dict):
        raise BadWebhook("The webhook is not a JSON object.")
    return parsed
