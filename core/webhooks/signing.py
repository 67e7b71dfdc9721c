"""Signatures by Standard Webhooks (https://www.standardwebhooks.com), symmetric form v1: HMAC-SHA256."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

SECRET_PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64  # as the specification has it
_NEW_KEY_BYTES = 32


def new_secret() -> str:
    """A fresh random secret in its text form."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_NEW_KEY_BYTES)).decode("ascii")


def key_of(secret: str) -> bytes:
    """The key in a secret, `whsec_` and 24 to 64 bytes as base64; ValueError, without the secret in it, otherwise."""
    encoded = secret.removeprefix(SECRET_PREFIX)
    if encoded == secret:
        raise ValueError(f"A webhook secret begins with {SECRET_PREFIX!r}.")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError(f"What follows {SECRET_PREFIX!r} in the webhook secret is not base64.") from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(
            f"The webhook secret holds {len(key)} bytes; it needs {MIN_KEY_BYTES} to {MAX_KEY_BYTES}, as base64."
        )
    return key


def signed_headers(message_id: str, body: bytes, *, keys: Sequence[bytes], sent_at: datetime) -> dict[str, str]:
    """The three headers of a message. One signature per key, so that receivers may change keys one after another.

    `message_id` stays the same over retries, so that a receiver can tell a repeated message; `sent_at` is the attempt's
    own time, which receivers compare with their clock.
    """
    timestamp = str(int(sent_at.timestamp()))
    signatures = [_sign(f"{message_id}.{timestamp}.".encode() + body, key=key) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _sign(content: bytes, *, key: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode("ascii")
