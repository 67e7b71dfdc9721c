"""In-memory adapters of the ports of core.access, core.idempotency and core.uploads, under the real ones' contracts."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from uuid import uuid4

from core.access.keys import ApiKey
from core.access.limits import DAY_S, Usage
from core.errors import Conflict, IdempotencyInFlight, NotFound
from core.idempotency import LOCK_S, TTL_S, IdempotencyRecord
from core.jobs import JobStatus
from core.uploads.upload import Upload, UploadStatus
from tests.fakes import FakeJobRepository


class FakeKeyRepository:
    """API keys in a dictionary."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey, *, token_sha256: str) -> None:
        self._keys[token_sha256] = key

    def find(self, token_sha256: str) -> ApiKey | None:
        return self._keys.get(token_sha256)

    def list(self) -> Sequence[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: key.id)

    def revoke(self, prefix: str, *, now: datetime) -> ApiKey:
        found: builtins.list[str] = [digest for digest, key in self._keys.items() if prefix in (key.id, key.prefix)]
        if not found:
            raise NotFound(f"There is no key {prefix!r}.")
        if len(found) > 1:
            raise Conflict(f"Several keys begin with {prefix!r}. Give the id of one.")
        key = self._keys[found[0]]
        self._keys[found[0]] = replace(key, revoked_at=key.revoked_at or now)
        return self._keys[found[0]]


@dataclass(kw_only=True)
class _Kept:
    record: IdempotencyRecord
    locked_until: datetime | None
    expires_at: datetime


class FakeIdempotencyRepository:
    """Idempotency keys in a dictionary, safe to share between threads."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._lock = Lock()

    def begin(self, owner: str, key: str, *, now: datetime) -> IdempotencyRecord:
        with self._lock:
            kept = self._kept.get((owner, key))
            if kept is not None and kept.locked_until is not None and kept.locked_until > now:
                raise IdempotencyInFlight("Wait for its answer, then send the request again.")
            if kept is None or kept.expires_at <= now:
                record = IdempotencyRecord(owner=owner, key=key, token="")
                kept = _Kept(record=record, locked_until=None, expires_at=now + timedelta(seconds=TTL_S))
                self._kept[owner, key] = kept
            if not kept.record.is_complete:
                kept.record = replace(kept.record, token=uuid4().hex)
                kept.locked_until = now + timedelta(seconds=LOCK_S)
            return kept.record

    def extend(self, record: IdempotencyRecord, *, now: datetime) -> None:
        self._held(record).locked_until = now + timedelta(seconds=LOCK_S)

    def fix(self, record: IdempotencyRecord, *, now: datetime) -> None:
        kept = self._held(record)
        kept.record, kept.locked_until = record, now + timedelta(seconds=LOCK_S)

    def complete(self, record: IdempotencyRecord) -> None:
        kept = self._held(record)
        kept.record, kept.locked_until = record, None

    def unlock(self, record: IdempotencyRecord) -> None:
        kept = self._kept.get((record.owner, record.key))
        if kept is not None and kept.record.token == record.token:
            kept.locked_until = None

    def purge(self, *, now: datetime) -> int:
        with self._lock:
            due = [key for key, kept in self._kept.items() if kept.expires_at <= now]
            for key in due:
                del self._kept[key]
            return len(due)

    def _held(self, record: IdempotencyRecord) -> _Kept:
        kept = self._kept.get((record.owner, record.key))
        if kept is None or kept.record.token != record.token or kept.record.is_complete:
            raise IdempotencyInFlight("Wait for its answer, then send the request again.")
        return kept


class FakeUploadRepository:
    """Uploads in a dictionary."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._lock = Lock()

    def add(self, upload: Upload) -> None:
        self._uploads[upload.id] = upload

    def get(self, upload_id: str) -> Upload:
        try:
            return self._uploads[upload_id]
        except KeyError:
            raise NotFound("There is no such upload.") from None

    def move(
        self, upload_id: str, *, before: Collection[UploadStatus], after: UploadStatus, sha256: str | None = None
    ) -> Upload:
        with self._lock:
            upload = self.get(upload_id)
            if upload.status not in before:
                raise Conflict(f"The upload is {upload.status}.")
            self._uploads[upload_id] = replace(upload, status=after, sha256=sha256 or upload.sha256)
            return self._uploads[upload_id]

    def remove(self, upload_id: str) -> None:
        self._uploads.pop(upload_id, None)

    def list_expired(self, *, now: datetime, limit: int = 100) -> Sequence[Upload]:
        due = [
            upload
            for upload in self._uploads.values()
            if upload.expires_at <= now or upload.status is UploadStatus.ENDED
        ]
        return sorted(due, key=lambda upload: upload.expires_at)[:limit]


class FakeUsageRepository:
    """Counts the jobs of a fake repository."""

    def __init__(self, jobs: FakeJobRepository) -> None:
        self._jobs = jobs

    def usage(self, owner: str, *, now: datetime) -> Usage:
        jobs = self._jobs.all_of(owner)
        recent = [job for job in jobs if job.created_at >= now - timedelta(seconds=DAY_S)]
        return Usage(
            queued=sum(job.status is JobStatus.QUEUED for job in jobs),
            bytes_last_day=sum(job.input.bytes + (job.reference.bytes if job.reference else 0) for job in recent),
            oldest_at=min((job.created_at for job in recent), default=None),
        )
