import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from callsheet.domain.errors import BadWebhook
from callsheet.providers.webhooks.signatures import (
    read_json_object,
    verify_fal_webhook,
    verify_google_webhook,
    verify_standard_webhook,
)

NOW = datetime.fromtimestamp(1_700_000_000, UTC)
SECRET = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
OTHER = "whsec_" + base64.b64encode(b"another secret, of 24 bytes").decode()
BODY = b'{"id":"p1","status":"succeeded"}'
HEADERS = {
    "webhook-id": "msg_1",
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1,ysrJi8wYqMPiLNPj/baHgZ/yvqqQ5cyWY07i0J35fU4=",
}


def signed(body: bytes, secret: str = SECRET, at: datetime = NOW, message_id: str = "msg_1") -> dict[str, str]:
    """Headers of the library `standardwebhooks`."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": standardwebhooks.Webhook(secret).sign(message_id, at, body.decode()),
    }


# Standard Webhooks


def test_the_reference_message_is_valid() -> None:
    assert verify_standard_webhook([SECRET], HEADERS, BODY, NOW) == "msg_1"


def test_header_names_are_case_insensitive() -> None:
    assert verify_standard_webhook([SECRET], {key.title(): value for key, value in HEADERS.items()}, BODY, NOW)


@given(body=st.text(), message_id=st.text("abcXYZ019_-", min_size=1, max_size=60), late=st.integers(-300, 300))
def test_signatures_of_the_reference_implementation_are_valid(body: str, message_id: str, late: int) -> None:
    raw = body.encode("utf-8", "replace")
    headers = signed(raw, message_id=message_id)
    now = NOW + timedelta(seconds=late)

    assert verify_standard_webhook([SECRET], headers, raw, now) == message_id
    for changed in (raw + b" ", b"x" + raw):
        with pytest.raises(BadWebhook):
            verify_standard_webhook([SECRET], headers, changed, now)


def test_the_reference_implementation_accepts_our_message() -> None:
    headers = signed(BODY, at=(now := datetime.now(UTC)))

    assert standardwebhooks.Webhook(SECRET).verify(BODY, headers) == json.loads(BODY)
    assert verify_standard_webhook([SECRET], headers, BODY, now)


def test_one_matching_secret_and_signature_is_enough() -> None:
    both = {**HEADERS, "webhook-signature": f"v1,bm8= v1a,bm8= {HEADERS['webhook-signature']} v2,bm8="}

    assert verify_standard_webhook([OTHER, SECRET], both, BODY, NOW) == "msg_1"
    with pytest.raises(BadWebhook):
        verify_standard_webhook([OTHER], both, BODY, NOW)
    with pytest.raises(BadWebhook):
        verify_standard_webhook([], both, BODY, NOW)


@pytest.mark.parametrize("late", [-301, 301, -(10**9), 10**9])
def test_a_message_with_another_timestamp_is_rejected(late: int) -> None:
    with pytest.raises(BadWebhook, match="300 seconds"):
        verify_standard_webhook([SECRET], HEADERS, BODY, NOW + timedelta(seconds=late))


@pytest.mark.parametrize("name", HEADERS)
def test_a_missing_header_is_reported(name: str) -> None:
    with pytest.raises(BadWebhook, match=name):
        verify_standard_webhook([SECRET], {key: value for key, value in HEADERS.items() if key != name}, BODY, NOW)


@pytest.mark.parametrize("prefix", ["v0", "v2", "v1a", "V1", ""])
def test_a_signature_of_another_version_is_ignored(prefix: str) -> None:
    headers = {**HEADERS, "webhook-signature": HEADERS["webhook-signature"].replace("v1", prefix, 1)}

    with pytest.raises(BadWebhook):
        verify_standard_webhook([SECRET], headers, BODY, NOW)


def test_id_and_timestamp_are_signed() -> None:
    for change in ({"webhook-id": "msg_2"}, {"webhook-timestamp": "1700000001"}):
        with pytest.raises(BadWebhook):
            verify_standard_webhook([SECRET], {**HEADERS, **change}, BODY, NOW)


@given(headers=st.fixed_dictionaries({name: st.text(max_size=80) for name in HEADERS}), body=st.binary(max_size=80))
def test_malformed_input_raises_bad_webhook_only(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadWebhook):
        verify_standard_webhook([SECRET], headers, body, NOW)


@pytest.mark.parametrize("secret", ["whsec_!!", "whsec_é", "whsec_a"])
def test_an_invalid_secret_accepts_nothing(secret: str) -> None:
    with pytest.raises(BadWebhook, match="The webhook secret"):
        verify_standard_webhook([secret], HEADERS, BODY, NOW)


def test_an_empty_secret_accepts_nothing() -> None:
    proof = base64.b64encode(hmac.digest(b"", b"msg_1.1700000000." + BODY, "sha256")).decode()

    for secret in ("", "whsec_"):
        with pytest.raises(BadWebhook, match="The webhook secret"):
            verify_standard_webhook([secret], {**HEADERS, "webhook-signature": f"v1,{proof}"}, BODY, NOW)


# fal

FAL_KEYS = [{"kty": "OKP", "crv": "Ed25519", "x": "ebVWLo_mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ", "kid": "1"}]
FAL_BODY = b'{"request_id":"r1","status":"OK"}'
FAL_HEADERS = {
    "X-Fal-Webhook-Request-Id": "r1",
    "X-Fal-Webhook-User-Id": "u1",
    "X-Fal-Webhook-Timestamp": "1700000000",
    "X-Fal-Webhook-Signature": "7a7394f09a41957323261ff82e7130e25bd895731786e42e8eb4698cdfefb170"
    "b46d1611b5f3dfc268179a7b5d75244c4273bfbaab102c3b3e0db4d0df421c09",
}


def test_the_reference_webhook_of_fal_is_valid() -> None:
    assert verify_fal_webhook(FAL_KEYS, FAL_HEADERS, FAL_BODY, NOW) == ("r1", "u1")


def test_every_key_of_fal_is_tried() -> None:
    others = [
        {"kty": "RSA", "n": "x"},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "x": "short"},
        {"kty": "OKP", "crv": "Ed25519", "x": 5},
        {"kty": "OKP", "crv": "Ed25519", "x": "é" * 43},
        {"kty": "OKP", "crv": "X25519", "x": FAL_KEYS[0]["x"]},
        {},
    ]

    assert verify_fal_webhook([*others, *FAL_KEYS], FAL_HEADERS, FAL_BODY, NOW)
    with pytest.raises(BadWebhook, match="any of fal's keys"):
        verify_fal_webhook(others, FAL_HEADERS, FAL_BODY, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"X-Fal-Webhook-Request-Id": "r2"},
        {"X-Fal-Webhook-User-Id": "u2"},
        {"X-Fal-Webhook-Timestamp": "1700000001"},
        {"X-Fal-Webhook-Signature": "00" * 64},
        {"X-Fal-Webhook-Signature": "zz"},
        {"X-Fal-Webhook-Signature": ""},
        {"X-Fal-Webhook-Timestamp": "1_700_000_000"},
        {"X-Fal-Webhook-Timestamp": "١٧٠٠٠٠٠٠٠٠"},
        {"X-Fal-Webhook-Timestamp": "9" * 400},
    ],
)
def test_a_changed_webhook_of_fal_is_rejected(change: dict[str, str]) -> None:
    with pytest.raises(BadWebhook):
        verify_fal_webhook(FAL_KEYS, {**FAL_HEADERS, **change}, FAL_BODY, NOW)


def test_a_webhook_of_fal_with_another_body_or_timestamp_is_rejected() -> None:
    with pytest.raises(BadWebhook):
        verify_fal_webhook(FAL_KEYS, FAL_HEADERS, FAL_BODY + b" ", NOW)
    for late in (-301, 301):
        with pytest.raises(BadWebhook, match="300 seconds"):
            verify_fal_webhook(FAL_KEYS, FAL_HEADERS, FAL_BODY, NOW + timedelta(seconds=late))


# Google

RSA = rsa.generate_private_key(65537, 2048)
GOOGLE_KEYS = [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "g1", "alg": "RS256"}]


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "g1", **claims: Any) -> dict[str, str]:
    reported = {"iat": 1_700_000_000, "exp": 1_700_000_300, "iss": "google", "aud": "another-service", **claims}
    made = jwt.encode(reported, key, algorithm=algorithm, headers={"kid": kid} if kid else {})
    return {"webhook-id": "m1", "webhook-timestamp": "1700000000", "webhook-signature": made}


def test_a_token_of_google_is_valid() -> None:
    message_id, claims = verify_google_webhook(GOOGLE_KEYS, token(), NOW)

    assert message_id == "m1"
    assert claims["iss"] == "google"
    assert verify_google_webhook([{}, {"kty": "RSA"}, *GOOGLE_KEYS], token(kid=None), NOW)


def confused() -> dict[str, str]:
    """A token with the public key as HMAC secret: algorithm confusion."""
    head, claims = ({"alg": "HS256", "typ": "JWT", "kid": "g1"}, {"exp": 1_700_000_300})
    content = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims))
    proof = base64.urlsafe_b64encode(hmac.digest(json.dumps(GOOGLE_KEYS[0]).encode(), content, "sha256")).rstrip(b"=")
    return {**token(), "webhook-signature": (content + b"." + proof).decode()}


STRANGER = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    "headers",
    [
        token(STRANGER),
        token(kid="g2"),
        token("a secret that is long enough for this", "HS256"),
        confused(),
        token(None, "none"),
        token(ec.generate_private_key(ec.SECP256R1()), "ES256"),
        token(RSA, "RS512"),
        token(exp=1_699_999_000),
        token(nbf=1_700_009_000),
        token(iat=1_700_009_000),
        {**token(), "webhook-signature": "a.b.c"},
        {**token(), "webhook-signature": "nothing"},
        {**token(), "webhook-timestamp": "1699990000"},
        {name: value for name, value in token().items() if name != "webhook-id"},
    ],
)
def test_every_other_token_is_rejected(headers: dict[str, str]) -> None:
    with pytest.raises(BadWebhook):
        verify_google_webhook(GOOGLE_KEYS, headers, NOW)


# Bodies


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b'{"a": NaN}', b"[" * 200_000])
def test_a_body_without_an_object_is_rejected(body: bytes) -> None:
    with pytest.raises(BadWebhook):
        read_json_object(body)


def test_a_json_object_is_read() -> None:
    assert read_json_object(b'{"id": "x"}') == {"id": "x"}
