"""Keeps out of logs what opens doors: signed URLs, passwords in URLs, tokens. Pure."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_RULES = (
    # user:password@ before a host
    (re.compile(r"(?<=://)[^/\s@\"']+@"), f"{REDACTED}@"),
    # The query of any absolute URL: a presigned one's signature is there, and who knows what in other people's.
    (re.compile(r"(https?://[^\s\"'<>?#]+)\?[^\s\"'<>]+", re.IGNORECASE), rf"\1?{REDACTED}"),
    # A path with its query, as access logs have it: what is named like a secret, and jobs' options, which may hold one.
    (
        re.compile(
            r"([?&](?:x-amz-[a-z-]+|x-goog-[a-z-]+|awsaccesskeyid|signature|sig|token|access_token|api_key|secret|password"
            r"|options)=)[^&\s\"'<>]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"(whsec_|lmp_)[A-Za-z0-9+/=_%-]{6,}"), rf"\1{REDACTED}"),
)


def redact(text: str) -> str:
    """`text` without credentials. What remains of a URL still says where it led."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
