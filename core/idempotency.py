"""Retry safety: a request that is sent again under the same Idempotency-Key has its effect once.

After draft-ietf-httpapi-idempotency-key-header-08: the first request locks the key, and its reply is kept for TTL_S.
The same request under the key gets that reply again, another one is refused, and so is any while the first is running.
A request that fails unlocks its key, so that it can be tried again. One whose process died leaves its lock to expire;
whoever comes next finds out from the job id, noted before the job was made, whether there is a job.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from core.errors import IdempotencyInFlight, IdempotencyMismatch, InvalidInput, TransientError

logger = logging.getLogger(__name__)

TTL_S = 86_400.0
"""A key may be used again, for something else, this long after its first use. Published in docs/rest-api.md."""

LOCK_S = 30.0
"""The lock of a request whose process died ends after this long: until then whoever sends it again is put off."""

EXTEND_AFTER_S = 8.0  # while a request is in progress

_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class IdempotencyRecord:
    """What is known of a key. Complete once it has a reply."""

    owner: str  # id of the API key, empty without authentication
    key: str
    token: str  # of the lock; fences every write of the request that holds it
    fingerprint: str | None = None  # of the request, once it has been received
    job_id: str | None = None  # that the request makes, or made
    status: int | None = None
    body: str | None = None

    @property
    def is_complete(self) -> bool:
        return self.body is not None


class IdempotencyRepository(Protocol):
    """Idempotency keys in the database. A write whose lock has passed to another raises IdempotencyInFlight."""

    def begin(self, owner: str, key: str, *, now: datetime) -> IdempotencyRecord:
        """Lock the key for LOCK_S, if it is new, expired, unlocked, or its lock has run out; complete ones stay so.

        Returns what the predecessor left, under a fresh token. IdempotencyInFlight while another holds the lock.
        """
        ...

    def extend(self, record: IdempotencyRecord, *, now: datetime) -> None: ...

    def fix(self, record: IdempotencyRecord, *, now: datetime) -> None:
        """Store fingerprint and job id; the lock goes on."""
        ...

    def complete(self, record: IdempotencyRecord) -> None:
        """Store the whole record, and end the lock."""
        ...

    def unlock(self, record: IdempotencyRecord) -> None:
        """End the lock, if it is still held; what was fixed stays."""
        ...

    def purge(self, *, now: datetime) -> int:
        """Remove what has expired; return how many."""
        ...


def parse_key(header: str) -> str:
    """The key in an Idempotency-Key header: a quoted string as the draft says, or bare; InvalidInput otherwise."""
    text = header.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not _KEY.fullmatch(text):
        raise InvalidInput("The Idempotency-Key must have 1 to 255 characters of visible ASCII.")
    return text


def fingerprint_of(request: Mapping[str, Any]) -> str:
    """The SHA-256 of a request's meaning: equal for equal JSON values, in whatever order."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class IdempotentAttempt:
    """One request under a key. A context manager: leaving it without `complete` unlocks the key.

    In order: enter, `settle`, and, unless that found a reply, `complete`. A thread keeps the lock in between, however
    long the request takes: a slow upload, a store that does not answer.
    """

    def __init__(
        self,
        keys: IdempotencyRepository,
        *,
        owner: str | None,
        key: str,
        has_job: Callable[[str], bool],
        clock: Callable[[], datetime] = _utc_now,
        extend_after_s: float = EXTEND_AFTER_S,
    ) -> None:
        self._keys = keys
        self._owner, self._key = owner or "", key
        self._has_job = has_job
        self._clock = clock
        self._extend_after_s = extend_after_s
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="idempotency-lock", daemon=True)

    def __enter__(self) -> Self:
        self._record = self._keys.begin(self._owner, self._key, now=self._clock())
        if not self._record.is_complete:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        if not self._record.is_complete:
            self._keys.unlock(self._record)

    def _keep_alive(self) -> None:
        while not self._has_ended.wait(self._extend_after_s):
            try:
                self._keys.extend(self._record, now=self._clock())
            except IdempotencyInFlight:
                return  # the lock has passed to another; `settle` and `complete` say so
            except TransientError:
                logger.warning("idempotency_lock_not_extended", exc_info=True)

    def settle(self, fingerprint: str, *, job_id: str) -> IdempotencyRecord | None:
        """The record of an earlier request that made its job; None when this one is to make `job_id`.

        Its reply is missing when it died before it was given. IdempotencyMismatch when it was another request.
        """
        earlier = self._record
        if earlier.is_complete or (earlier.job_id is not None and self._has_job(earlier.job_id)):
            if earlier.fingerprint != fingerprint:
                raise IdempotencyMismatch(
                    "The recording or its options differ from those of the first request. Choose another key."
                )
            return earlier
        self._record = replace(earlier, fingerprint=fingerprint, job_id=job_id)
        self._keys.fix(self._record, now=self._clock())
        return None

    def complete(self, *, job_id: str, status: int, body: str) -> None:
        """Keep the reply."""
        record = replace(self._record, job_id=job_id, status=status, body=body)
        self._keys.complete(record)
        self._record = record
