"""The end of a batch on SQLite, and the body that tells of it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine

from api.batch_views import BatchView
from core.batches.batch import Batch, BatchItem, RefusedItem
from core.batches.event import batch_document, batch_payload
from core.batches.repository_sql import SqlBatchRepository
from core.ids import new_id
from core.jobs import JobStatus
from core.repository_sql import SqlJobRepository
from core.webhooks.events import BATCH_EVENTS, JOB_EVENTS, EventType, Webhook
from core.webhooks.outbox_sql import SqlOutbox
from core.webhooks.payload import MAX_PAYLOAD_BYTES
from tests.contracts.batch_events import PROBLEM, BatchEventContract
from tests.factories import NOON


class TestSqlite(BatchEventContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def engine(self, sqlite_engine: Engine) -> Engine:
        return sqlite_engine

    @pytest.fixture
    def batches(self, engine: Engine) -> SqlBatchRepository:
        return SqlBatchRepository(engine, retention_s=3600.0)

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def outbox(self, engine: Engine) -> SqlOutbox:
        return SqlOutbox(engine)


def make_batch(size: int) -> Batch:
    """One item is running, one was refused, the others have succeeded."""
    statuses = [JobStatus.RUNNING, *[JobStatus.SUCCEEDED] * (size - 2)]
    return Batch(
        id=new_id(),
        created_at=NOON,
        size=size,
        refused=(RefusedItem(position=size - 1, name="notes.txt", problem=PROBLEM),),
        jobs=tuple(
            BatchItem(position=position, name="Gespräch.ogg", status=status, job_id=new_id(), fraction=0.5)
            for position, status in enumerate(statuses)
        ),
    )


def test_batch_is_the_same_as_in_the_api() -> None:
    batch = make_batch(4)

    view = BatchView.of(batch, now=NOON)

    assert batch_document(batch, now=NOON) == view.model_dump(mode="json", by_alias=True)


def test_an_event_that_is_too_long_goes_without_its_items() -> None:
    batch = make_batch(1000)

    text = batch_payload(batch, now=NOON)

    event = json.loads(text)
    assert len(text.encode()) <= MAX_PAYLOAD_BYTES
    assert (event["type"], event["data"]["items"], event["omitted"]) == ("batch.completed", [], ["items"])
    assert event["data"]["counts"]["succeeded"] == 998


def test_a_short_event_has_everything() -> None:
    event = json.loads(batch_payload(make_batch(4), now=NOON))

    assert len(event["data"]["items"]) == 4
    assert "omitted" not in event


def test_a_webhook_is_split_by_what_it_wants() -> None:
    webhook = Webhook(url="https://example.com", events=(*BATCH_EVENTS, EventType.JOB_FAILED), secret="s")

    for_jobs, for_batch = webhook.restricted_to(JOB_EVENTS), webhook.restricted_to(BATCH_EVENTS)

    assert for_jobs == Webhook(url="https://example.com", events=(EventType.JOB_FAILED,), secret="s")
    assert for_batch == Webhook(url="https://example.com", events=BATCH_EVENTS, secret="s")
    assert for_jobs is not None
    assert for_jobs.restricted_to(BATCH_EVENTS) is None
