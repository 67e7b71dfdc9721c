"""A batch: recordings that were submitted together, each a job of its own, or refused. Pure; no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from core.jobs import JobStatus, OutputFile, Problem
from core.webhooks.events import Webhook

MAX_ITEMS = 1000

INTAKE_TIMEOUT_S = 900.0
"""A batch whose intake did not end so long after it began has lost the process that took it in."""

INTERRUPTED = Problem(
    code="not_submitted",
    title="The recording was not submitted",
    detail="The server stopped while it took the batch in. Submit this recording again.",
)


class BatchStatus(StrEnum):
    """What became of a batch as a whole."""

    RUNNING = "running"  # not every item has ended
    SUCCEEDED = "succeeded"  # every item has
    PARTIALLY_SUCCEEDED = "partially_succeeded"  # some have, the others failed or were cancelled
    FAILED = "failed"  # none has succeeded
    CANCELLED = "cancelled"  # none has succeeded, none has failed

    @property
    def is_terminal(self) -> bool:
        """True when the batch will never change again."""
        return self is not BatchStatus.RUNNING


@dataclass(frozen=True, kw_only=True)
class BatchItem:
    """One recording of a batch: its job, in short, or why it has none."""

    position: int  # from 0, in the order of the request
    name: str  # of the recording; empty once its job is deleted
    status: JobStatus
    job_id: str | None = None  # None: it was refused
    fraction: float = 0.0  # 0..1
    duration_s: float | None = None
    input_bytes: int = 0
    input_sha256: str = ""
    problem: Problem | None = None
    expires_at: datetime | None = None
    purged_at: datetime | None = None
    deleted_at: datetime | None = None

    def has_files(self, *, now: datetime) -> bool:
        """True when the results can be fetched."""
        is_kept = self.purged_at is None and (self.expires_at is None or self.expires_at > now)
        return self.status is JobStatus.SUCCEEDED and is_kept


@dataclass(frozen=True, kw_only=True)
class RefusedItem:
    """A recording of which no job was made."""

    position: int
    name: str
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """How far a batch is. What has ended counts as whole, however it ended."""

    fraction: float  # 0..1 of the audio where every duration is known, else of the items
    ended: int  # items
    total: int


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch; a snapshot of its row and those of its jobs."""

    id: str
    created_at: datetime
    size: int  # items in the request
    owner: str | None = None
    webhook: Webhook | None = None  # is told when every item has ended
    refused: Sequence[RefusedItem] = ()
    jobs: Sequence[BatchItem] = ()  # the items that are jobs

    @property
    def is_whole(self) -> bool:
        """True when every item is a job or was refused; until then the batch is taken in, or its intake broke off."""
        return len(self.jobs) + len(self.refused) >= self.size

    def items(self, *, now: datetime) -> Sequence[BatchItem]:
        """Every item of the request, in its order.

        Those that are not yet jobs wait; they have failed when the process that took the batch in is gone.
        """
        known = {item.position: item for item in self.jobs}
        for item in self.refused:
            known[item.position] = BatchItem(
                position=item.position, name=item.name, status=JobStatus.FAILED, problem=item.problem
            )
        is_lost = now - self.created_at > timedelta(seconds=INTAKE_TIMEOUT_S)
        return [known.get(position) or _missing(position, is_lost=is_lost) for position in range(self.size)]


def count(items: Sequence[BatchItem]) -> Mapping[JobStatus, int]:
    """How many items are in each state."""
    found = Counter(item.status for item in items)
    return {status: found[status] for status in JobStatus}


def status_of(items: Sequence[BatchItem]) -> BatchStatus:
    """What became of a batch with these items."""
    statuses = {item.status for item in items}
    if not all(status.is_terminal for status in statuses):
        return BatchStatus.RUNNING
    if JobStatus.SUCCEEDED in statuses:
        return BatchStatus.SUCCEEDED if len(statuses) == 1 else BatchStatus.PARTIALLY_SUCCEEDED
    return BatchStatus.FAILED if JobStatus.FAILED in statuses else BatchStatus.CANCELLED


def progress_of(items: Sequence[BatchItem]) -> BatchProgress:
    """How far a batch with these items is."""
    has_durations = all(item.duration_s for item in items if item.job_id is not None)
    weights = [(item.duration_s or 0.0) if has_durations else 1.0 for item in items]
    done = sum(
        weight if item.status.is_terminal else weight * item.fraction
        for item, weight in zip(items, weights, strict=True)
    )
    total = sum(weights)
    return BatchProgress(
        fraction=done / total if total else 1.0,
        ended=sum(item.status.is_terminal for item in items),
        total=len(items),
    )


class BatchRepository(Protocol):
    """Batches in the database. Jobs name the batch that they belong to (`Job.batch`)."""

    def add(self, batch: Batch) -> None:
        """Store a batch whose jobs are about to follow."""
        ...

    def refuse(self, batch_id: str, items: Sequence[RefusedItem], *, now: datetime) -> None:
        """Store which items were refused; replaces what was stored."""
        ...

    def get(self, batch_id: str) -> Batch:
        """The batch with its jobs; NotFound when there is none."""
        ...

    def outputs(self, batch_id: str) -> Mapping[str, Sequence[OutputFile]]:
        """What the batch's jobs have made, by job id."""
        ...

    def request_cancel(self, batch_id: str, *, now: datetime) -> None:
        """Every job of the batch: queued -> cancelled, running -> cancelling."""
        ...

    def abandon(self, batch_id: str, *, now: datetime) -> None:
        """Cancel every job of a batch whose intake broke off, and tell nobody of its end: its client was told."""
        ...

    def announce_lost(self, *, now: datetime) -> int:
        """Store the event of batches that are at their end because their intake was lost; how many."""
        ...


def _missing(position: int, *, is_lost: bool) -> BatchItem:
    if is_lost:
        return BatchItem(position=position, name="", status=JobStatus.FAILED, problem=INTERRUPTED)
    return BatchItem(position=position, name="", status=JobStatus.QUEUED)
