"""Posting a small document to somebody else's server: what a webhook needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from core.errors import OutboundError
from core.outbound.client import OutboundClient

MAX_DRAINED_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a server answered. Its body is nobody's business, and is not kept."""

    status: int
    retry_after: str | None  # the header, as sent


def post_event(
    url: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float, client: OutboundClient
) -> Answer:
    """POST `body` as JSON. Every status is an answer, redirects too; ForbiddenUrl and OutboundError when none came."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    with client.request("POST", url, headers=fields, body=body, timeout_s=timeout_s) as response:
        _drain(response.blocks)
    return Answer(status=response.status, retry_after=response.headers.get("retry-after"))


def _drain(blocks: Iterator[bytes]) -> None:
    """Read a short body to its end: a connection closed in its middle looks like a fault in the receiver's log."""
    read = 0
    with contextlib.suppress(OutboundError):  # the status is known; a body that breaks off changes nothing
        for block in blocks:
            read += len(block)
            if read > MAX_DRAINED_BYTES:
                return
