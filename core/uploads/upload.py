"""Uploads in parts: a recording that comes straight to the store, apart from the job that it is for.

An upload's id becomes its job's id, and its bytes lie where that job's input lies, so that nothing is copied.

    open --> complete --> taken    by a job; the row goes when the job is there
      |          |          |
      +----------+----------+-> ended    aborted, refused or too old; the row goes when the bytes are gone
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from core.object_keys import input_key
from core.storage import ObjectWriter

MIB = 1024**2
SMALLEST_PART_BYTES = 16 * MIB  # S3 wants at least 5 MiB of all but the last
MAX_PARTS = 1000


class UploadStatus(StrEnum):
    """Where an upload stands."""

    OPEN = "open"  # parts are coming
    COMPLETE = "complete"  # joined and hashed; a job may take it
    TAKEN = "taken"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One recording on its way in."""

    id: str
    owner: str | None
    name: str  # safe to show
    media_type: str
    bytes: int  # as announced; what arrives must have them
    reference: str  # the store's own name for the upload
    created_at: datetime
    expires_at: datetime
    status: UploadStatus = UploadStatus.OPEN
    sha256: str | None = None  # as announced; once complete, as found

    @property
    def key(self) -> str:
        """Where the whole recording lies."""
        return input_key(self.id)

    @property
    def parts(self) -> Sequence[Part]:
        """The parts that it must come in, in order; all of the same size but the last."""
        part_bytes = max(SMALLEST_PART_BYTES, -(-self.bytes // MAX_PARTS))
        starts = range(0, self.bytes, part_bytes)
        return [
            Part(number=number, offset_bytes=start, bytes=min(part_bytes, self.bytes - start))
            for number, start in enumerate(starts, start=1)
        ]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One slice of the recording."""

    number: int  # from 1
    offset_bytes: int
    bytes: int


class UploadRepository(Protocol):
    """Uploads in the database."""

    def add(self, upload: Upload) -> None: ...

    def get(self, upload_id: str) -> Upload:
        """NotFound when there is no such upload, or no longer."""
        ...

    def move(
        self, upload_id: str, *, before: Collection[UploadStatus], after: UploadStatus, sha256: str | None = None
    ) -> Upload:
        """One compare-and-set of the status (and the hash, when given); Conflict when it is not one of `before`."""
        ...

    def remove(self, upload_id: str) -> None:
        """Forget the upload, if it is there."""
        ...

    def list_expired(self, *, now: datetime, limit: int = 100) -> Sequence[Upload]:
        """Uploads past their time, and those that ended, the oldest first."""
        ...


class PartStore(Protocol):
    """Parts in the object store. Errors are StorageError."""

    def begin(self, key: str, *, media_type: str) -> str:
        """Make room for parts; returns the store's reference."""
        ...

    def part_url(self, key: str, reference: str, number: int, *, expires_s: int) -> str | None:
        """Where the client itself may PUT the part, or None where only the API takes it (`open_part`)."""
        ...

    def open_part(self, key: str, reference: str, number: int) -> ObjectWriter:
        """A write of one part through us, which replaces an earlier one of the number at its commit."""
        ...

    def sizes(self, key: str, reference: str, *, count: int) -> Mapping[int, int]:
        """Bytes of the parts that have arrived, of 1..`count`, by number."""
        ...

    def join(self, key: str, reference: str, *, count: int) -> None:
        """Make parts 1..`count` the object `key`."""
        ...

    def abort(self, key: str, reference: str) -> None:
        """Remove the parts that are not joined, if there are any."""
        ...
