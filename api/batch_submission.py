"""POST /batches, from the body that arrives to the reply: every recording a job, or refused with a reason."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool

from api.batch_intake import ReceivedBatch, receive_batch
from api.batch_views import BatchView
from api.intake import Incoming, QueryOptions, declared_bytes
from api.submission import SubmissionDesk, describe
from core.backend import Backend
from core.batches.batch import Batch, RefusedItem
from core.errors import EnhancerError, Gone, NotFound, TransientError
from core.file_names import safe_file_name
from core.idempotency import IdempotentAttempt, fingerprint_of, parse_key
from core.ids import new_id
from core.jobs import BatchPlace, Problem
from core.outbound.fetch import name_of
from core.services import JobRequest, discard_input, find_job
from core.uploads.services import find_upload
from core.webhooks.events import Webhook
from core.webhooks.service import check_webhook

logger = logging.getLogger(__name__)

CREATED = 202


@dataclass(frozen=True, kw_only=True)
class BatchReply:
    """The reply to a request that submits a batch."""

    batch_id: str
    body: str
    is_replayed: bool = False


async def submit_batch(
    request: Request, query: QueryOptions, *, idempotency_key: str | None, desk: SubmissionDesk
) -> BatchReply:
    """Receive recordings, or where they are, and make a batch of them, or find the one that an earlier request made.

    What is wrong with the request or its options refuses it; what is wrong with a recording fails that item alone.
    """
    attempt: IdempotentAttempt | None = None
    if idempotency_key is not None:
        attempt = IdempotentAttempt(
            desk.backend.idempotency,
            owner=desk.caller.owner,
            key=parse_key(idempotency_key),
            has_job=lambda batch_id: _has_whole_batch(batch_id, desk.backend),
        )

    def take(received: ReceivedBatch) -> BatchReply:
        return _take_once(received, desk=desk, attempt=attempt)

    if attempt is None:
        await run_in_threadpool(desk.check_limits, size_bytes=declared_bytes(request))
    async with contextmanager_in_threadpool(attempt or nullcontext()):
        return await receive_batch(request, query, backend=desk.backend, settings=desk.settings, take=take)


def _take_once(received: ReceivedBatch, *, desk: SubmissionDesk, attempt: IdempotentAttempt | None) -> BatchReply:
    """The reply for what has arrived, or for what arrived in an earlier attempt."""
    _check_requests(received, desk)
    if received.webhook is not None:
        check_webhook(received.webhook, outbound=desk.backend.outbound, settings=desk.settings)
    batch_id, earlier = new_id(), None
    if attempt is not None:
        webhook = None if received.webhook is None else asdict(received.webhook)
        described: dict[str, Any] = {"items": [describe(item) for item in received.items], "webhook": webhook}
        if received.source is not None:  # as it was asked for: what lies there may have changed since
            described["source"] = asdict(received.source)
        fingerprint = fingerprint_of(described)
        earlier = attempt.settle(fingerprint, job_id=batch_id)
    if earlier is not None and earlier.job_id is not None:
        batch_id = earlier.job_id
        if earlier.body is not None:
            return BatchReply(batch_id=batch_id, body=earlier.body, is_replayed=True)
    else:
        items = received.items if received.source is None else received.source.items(desk.backend.sources)
        desk.check_limits(size_bytes=sum(map(_known_bytes, items)))
        _take(batch_id, items, webhook=received.webhook, desk=desk)
        received.keep()
    batch = desk.backend.batches.get(batch_id)
    body = BatchView.of(batch, now=datetime.now(UTC)).model_dump_json(by_alias=True)
    if attempt is not None:
        attempt.complete(job_id=batch_id, status=CREATED, body=body)
    return BatchReply(batch_id=batch_id, body=body, is_replayed=earlier is not None)


def _take(
    batch_id: str,
    items: Sequence[Incoming],
    *,
    webhook: Webhook | None,
    desk: SubmissionDesk,
) -> None:
    """Make the batch and its jobs. When a service fails on the way, what was made is cancelled and the fault raised."""
    batches = desk.backend.batches
    batch = Batch(
        id=batch_id,
        created_at=datetime.now(UTC),
        size=len(items),
        owner=desk.caller.owner,
        webhook=webhook,
    )
    batches.add(batch)
    refused = []
    try:
        for position, item in enumerate(items):
            place = BatchPlace(id=batch_id, position=position)
            name = _name_of(item, desk)  # now: an upload that is refused is gone
            try:
                desk.take(replace(item, request=replace(item.request, batch=place)))
            except TransientError:
                raise
            except EnhancerError as error:
                problem = Problem(code=error.code, title=error.title, detail=error.detail)
                refused.append(RefusedItem(position=position, name=name, problem=problem))
                if item.upload is not None:
                    discard_input(desk.backend.store, item.job_id)
        if refused:
            batches.refuse(batch_id, refused, now=datetime.now(UTC))
    except TransientError:
        with suppress(TransientError):
            batches.abandon(batch_id, now=datetime.now(UTC))
        raise
    extra = {"batch_id": batch_id, "items": len(items), "refused": len(refused)}
    logger.info("batch_submitted", extra=extra)


def _check_requests(received: ReceivedBatch, desk: SubmissionDesk) -> None:
    """Raise what is wrong with the source or the options of any item before the first becomes a job."""
    if received.source is not None:
        desk.backend.sources.check(received.source.location)
        desk.check_request(received.source.request)
    checked: list[JobRequest] = []
    for position, item in enumerate(received.items):
        request = replace(item.request, metadata={})
        if request in checked:
            continue
        try:
            desk.check_request(request)
        except EnhancerError as error:
            if not checked and position == 0:
                raise
            raise type(error)(f"Item {position}: {error.detail}") from error
        checked.append(request)


def _name_of(item: Incoming, desk: SubmissionDesk) -> str:
    """What the recording is called; empty when there is none that the caller may see."""
    if item.upload is not None:
        return item.upload.name
    if item.source is not None:
        return item.source.as_input("").name
    if item.url is not None:
        return safe_file_name(name_of(item.url))
    try:
        if item.earlier_id is not None:
            return find_job(item.earlier_id, jobs=desk.backend.jobs, caller=desk.caller).input.name
        return find_upload(item.job_id, desk=desk.backend.uploads, caller=desk.caller).name
    except (NotFound, Gone):
        return ""


def _known_bytes(item: Incoming) -> int:
    if item.upload is not None:
        return item.upload.bytes
    return 0 if item.source is None else item.source.bytes


def _has_whole_batch(batch_id: str, backend: Backend) -> bool:
    """True when an earlier request made the batch. What one left that broke off is cancelled: it is made anew."""
    try:
        batch = backend.batches.get(batch_id)
    except NotFound:
        return False
    if not batch.is_whole:
        logger.warning("batch_abandoned", extra={"batch_id": batch_id, "jobs": len(batch.jobs), "size": batch.size})
        backend.batches.abandon(batch_id, now=datetime.now(UTC))
    return batch.is_whole
