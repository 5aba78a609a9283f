import base64
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from callsheet.domain.standard_webhooks import secret_text, signed_headers
from callsheet.notify.signature import endpoint_secret, installation_secret

KEY = b"a key of this installation"
ENDPOINT = UUID(int=7)
SECRET = installation_secret(KEY)


def test_secrets_have_the_length_of_the_standard_and_depend_on_the_key():
    secrets = {
        SECRET,
        installation_secret(KEY + b"!"),
        endpoint_secret(KEY, ENDPOINT, 1),
        endpoint_secret(KEY, ENDPOINT, 2),
        endpoint_secret(KEY, UUID(int=8), 1),
        endpoint_secret(KEY + b"!", ENDPOINT, 1),
    }

    assert len(secrets) == 6
    assert all(24 <= len(base64.b64decode(secret_text(secret).removeprefix("whsec_"))) <= 64 for secret in secrets)


def test_a_signature_covers_id_time_and_body():
    at = datetime(2026, 11, 22, tzinfo=UTC)
    signatures = [
        signed_headers([SECRET], "a", at, b"{}")["webhook-signature"],
        signed_headers([SECRET], "b", at, b"{}")["webhook-signature"],
        signed_headers([SECRET], "a", at + timedelta(seconds=1), b"{}")["webhook-signature"],
        signed_headers([SECRET], "a", at, b"{ }")["webhook-signature"],
    ]

    assert len(set(signatures)) == 4
    assert all(signature.startswith("v1,") for signature in signatures)


def test_during_a_rotation_the_library_of_the_standard_accepts_the_old_and_the_new_secret():
    new, old, other = (endpoint_secret(KEY, ENDPOINT, number) for number in (2, 1, 3))
    headers = signed_headers([new, old], "a", datetime.now(UTC), b"{}")

    for secret in (new, old):
        assert Webhook(secret_text(secret)).verify(b"{}", headers) == {}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(other)).verify(b"{}", headers)


def test_the_time_is_the_same_instant_in_every_time_zone():
    there = datetime(2026, 11, 22, 5, tzinfo=timezone(timedelta(hours=5)))

    assert signed_headers([SECRET], "a", there, b"") == signed_headers([SECRET], "a", there.astimezone(UTC), b"")


def test_the_signature_matches_the_example_of_the_standard():
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)

    headers = signed_headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
