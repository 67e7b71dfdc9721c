"""The end of a batch in a database: told once, in the transaction that ends its last item."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.batches.batch import Batch, BatchItem, RefusedItem, status_of
from core.batches.event import batch_payload
from core.batches.tables import BatchRow
from core.job_rows import webhook_of
from core.jobs import JobStatus, Problem
from core.tables import JobRow
from core.webhooks.events import EventType
from core.webhooks.outbox_sql import add_event

# Reports and options, which may be long, stay in the database when a batch is looked at.
_ITEM_COLUMNS = (
    JobRow.id,
    JobRow.batch_position,
    JobRow.status,
    JobRow.input_name,
    JobRow.input_bytes,
    JobRow.input_sha256,
    JobRow.input_duration_s,
    JobRow.progress_fraction,
    JobRow.error_code,
    JobRow.error_title,
    JobRow.error_detail,
    JobRow.expires_at,
    JobRow.purged_at,
    JobRow.deleted_at,
)
_ACTIVE = (JobStatus.QUEUED.value, JobStatus.RUNNING.value, JobStatus.CANCELLING.value)


def announce_ended(session: Session, batch_ids: Iterable[str | None], *, now: datetime) -> int:
    """Store `batch.completed` of each of these batches that is at its end and wants it told; how many.

    To be called after every change that may have ended an item, in its transaction. The lock on the batch makes the
    last two items of a batch, which end at once in two transactions, see each other. Locks are taken in one order, the
    rows of jobs before those of batches: nothing may change a job after this call.
    """
    told = 0
    for batch_id in sorted({batch_id for batch_id in batch_ids if batch_id is not None}):
        is_untold = (BatchRow.id == batch_id, BatchRow.webhook.is_not(None), BatchRow.announced_at.is_(None))
        if session.scalar(select(BatchRow.id).where(*is_untold)) is None:
            continue
        locked = select(BatchRow).where(*is_untold).with_for_update().execution_options(populate_existing=True)
        row = session.scalar(locked)
        if row is None or row.webhook is None or _has_active_jobs(session, batch_id):
            continue
        batch = load_batch(session, row)
        if not status_of(batch.items(now=now)).is_terminal:
            continue
        row.announced_at = now
        add_event(
            session,
            EventType.BATCH_COMPLETED,
            webhook_of(row.webhook),
            batch_payload(batch, now=now),
            owner=row.owner,
            batch_id=batch_id,
            now=now,
        )
        told += 1
    return told


def load_batch(session: Session, row: BatchRow) -> Batch:
    """The batch of the row, with its jobs as they are now."""
    query = select(*_ITEM_COLUMNS).where(JobRow.batch_id == row.id).order_by(JobRow.batch_position)
    return Batch(
        id=row.id,
        owner=row.owner,
        size=row.size,
        created_at=row.created_at,
        webhook=None if row.webhook is None else webhook_of(row.webhook),
        refused=tuple(
            RefusedItem(position=item["position"], name=item["name"], problem=Problem(**item["problem"]))
            for item in row.refused
        ),
        jobs=tuple(_item_of(job) for job in session.execute(query)),
    )


def _has_active_jobs(session: Session, batch_id: str) -> bool:
    active = select(JobRow.id).where(JobRow.batch_id == batch_id, JobRow.status.in_(_ACTIVE)).limit(1)
    return session.scalar(active) is not None


def _item_of(row: Any) -> BatchItem:  # noqa: ANN401 - a row of _ITEM_COLUMNS
    problem = None
    if row.error_code is not None:
        problem = Problem(code=row.error_code, title=row.error_title or "", detail=row.error_detail or "")
    return BatchItem(
        position=row.batch_position,
        job_id=row.id,
        name=row.input_name,
        status=JobStatus(row.status),
        fraction=row.progress_fraction,
        duration_s=row.input_duration_s,
        input_bytes=row.input_bytes,
        input_sha256=row.input_sha256,
        problem=problem,
        expires_at=row.expires_at,
        purged_at=row.purged_at,
        deleted_at=row.deleted_at,
    )
