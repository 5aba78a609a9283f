import base64
from datetime import UTC, datetime, timedelta, timezone

from callsheet.notify.signature import signed_headers, webhook_secret

KEY = b"a key of this installation"


def test_the_secret_has_the_length_of_the_standard():
    assert 24 <= len(base64.b64decode(webhook_secret(KEY).removeprefix("whsec_"))) <= 64
    assert webhook_secret(KEY) != webhook_secret(KEY + b"!")


def test_a_signature_covers_id_time_and_body():
    at = datetime(2026, 11, 22, tzinfo=UTC)
    signatures = [
        signed_headers(KEY, "a", at, b"{}")["webhook-signature"],
        signed_headers(KEY, "b", at, b"{}")["webhook-signature"],
        signed_headers(KEY, "a", at + timedelta(seconds=1), b"{}")["webhook-signature"],
        signed_headers(KEY, "a", at, b"{ }")["webhook-signature"],
    ]

    assert len(set(signatures)) == 4
    assert all(signature.startswith("v1,") for signature in signatures)


def test_the_time_is_the_same_instant_in_every_time_zone():
    there = datetime(2026, 11, 22, 5, tzinfo=timezone(timedelta(hours=5)))

    assert signed_headers(KEY, "a", there, b"") == signed_headers(KEY, "a", there.astimezone(UTC), b"")


def test_the_signature_matches_the_example_of_the_standard(monkeypatch):
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    monkeypatch.setattr("callsheet.notify.signature._secret", lambda _: secret)
    at = datetime.fromtimestamp(1614265330, UTC)

    headers = signed_headers(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
