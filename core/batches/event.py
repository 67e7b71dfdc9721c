"""The body of the webhook that tells of a batch's end: the batch as `GET /batches/{id}` shows it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from core.batches.batch import Batch, BatchItem, count, progress_of, status_of
from core.webhooks.events import EventType
from core.webhooks.payload import MAX_PAYLOAD_BYTES, event_text, json_time, problem_document

_BATCHES = "/api/v1/batches"
_JOBS = "/api/v1/jobs"


def batch_payload(batch: Batch, *, now: datetime) -> str:
    """The event as JSON: `type`, `timestamp` and `data`, the batch.

    Over the limit of Standard Webhooks `data` goes without its items, and `omitted` says so.
    """
    document = batch_document(batch, now=now)
    text = event_text(EventType.BATCH_COMPLETED, document, now=now)
    if len(text.encode()) <= MAX_PAYLOAD_BYTES:
        return text
    return event_text(EventType.BATCH_COMPLETED, {**document, "items": []}, now=now, omitted=["items"])


def batch_document(batch: Batch, *, now: datetime) -> dict[str, Any]:
    """The batch as clients see it, ready for JSON; a test compares it with the API's own."""
    items = batch.items(now=now)
    status = status_of(items)
    href = f"{_BATCHES}/{batch.id}"
    return {
        "id": batch.id,
        "status": status,
        "progress": asdict(progress_of(items)),
        "counts": dict(count(items)),
        "items": [_item_document(item) for item in items],
        "created_at": json_time(batch.created_at),
        "links": {
            "self": href,
            "jobs": f"{_JOBS}?batch={batch.id}",
            "manifest": f"{href}/manifest",
            "cancel": None if status.is_terminal else f"{href}/cancel",
            "archive": f"{href}/archive.zip" if status.is_terminal else None,
        },
    }


def _item_document(item: BatchItem) -> dict[str, Any]:
    return {
        "position": item.position,
        "name": item.name,
        "status": item.status,
        "fraction": item.fraction,
        "job_id": item.job_id,
        "href": None if item.job_id is None else f"{_JOBS}/{item.job_id}",
        "is_deleted": item.deleted_at is not None,
        "error": None if item.problem is None else problem_document(item.problem),
    }
