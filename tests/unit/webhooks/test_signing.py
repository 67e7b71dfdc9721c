"""Signatures, checked by the reference implementation of Standard Webhooks."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from core.webhooks.signing import key_of, new_secret, signed_headers

BODY = '{"type":"job.succeeded","data":{"name":"Gespräch.wav"}}'.encode()


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def test_golden_signature() -> None:
    # The specification's example; the signature is what `openssl dgst -sha256 -mac HMAC` makes of it.
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        keys=[key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
        sent_at=datetime.fromtimestamp(1614265330, UTC),
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_reference_implementation_accepts_the_signature() -> None:
    secret = new_secret()

    headers = signed_headers("m1", BODY, keys=[key_of(secret)], sent_at=datetime.now(UTC))

    assert Webhook(secret).verify(BODY, headers)["type"] == "job.succeeded"


def test_both_secrets_of_a_rotation_verify_and_no_other() -> None:
    new, old = new_secret(), new_secret()

    headers = signed_headers("m1", BODY, keys=[key_of(new), key_of(old)], sent_at=datetime.now(UTC))

    Webhook(new).verify(BODY, headers)
    Webhook(old).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


@pytest.mark.parametrize("changed", ["id", "timestamp", "body"])
def test_signature_covers_id_timestamp_and_body(changed: str) -> None:
    secret = new_secret()
    sent_at = datetime.now(UTC)
    headers = signed_headers("m1", BODY, keys=[key_of(secret)], sent_at=sent_at)
    other = signed_headers("m2", BODY, keys=[], sent_at=sent_at + timedelta(seconds=1))

    if changed == "id":
        headers["webhook-id"] = other["webhook-id"]
    if changed == "timestamp":
        headers["webhook-timestamp"] = other["webhook-timestamp"]
    body = BODY + b" " if changed == "body" else BODY

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_new_secrets_differ_and_hold_32_bytes() -> None:
    secrets = {new_secret() for _ in range(10)}

    assert len(secrets) == 10
    assert {len(key_of(secret)) for secret in secrets} == {32}


@pytest.mark.parametrize("size", [24, 32, 64])
def test_key_of_24_to_64_bytes_is_read_with_and_without_padding(size: int) -> None:
    key = bytes(range(size))

    assert key_of(secret_of(key)) == key
    assert key_of(secret_of(key).rstrip("=")) == key


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "hunter2", secret_of(b"x" * 23), secret_of(b"x" * 65), "whsec_" + "ä" * 40, "whsec_" + "a*" * 20],
)
def test_bad_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret") as refusal:
        key_of(secret)

    assert secret.removeprefix("whsec_") == "" or secret not in str(refusal.value)
