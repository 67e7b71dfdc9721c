"""How the end of a batch is told: run against SQLite and Postgres."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from core.batches.batch import INTAKE_TIMEOUT_S, Batch, RefusedItem
from core.batches.repository_sql import SqlBatchRepository
from core.ids import new_id
from core.jobs import BatchPlace, Job, JobStatus, Problem
from core.repository_sql import SqlJobRepository
from core.webhooks.events import BATCH_EVENTS, JOB_EVENTS, EventType, Webhook
from core.webhooks.outbox import Delivery, DeliveryStatus
from core.webhooks.outbox_sql import SqlOutbox
from tests.contracts.repository import FAULT, LEASE_S, after, claim, outcomes_of, succeed, token_of
from tests.factories import NOON, make_job

HOOK = Webhook(url="https://example.com/hooks/batches", events=BATCH_EVENTS, secret=None)
SIZE = 3
THREADS = 6
PROBLEM = Problem(code="unsupported_media", title="t", detail="d")


class BatchEventContract:
    """The fixtures `batches`, `repository` and `outbox`, over the same rows, are the subclass's."""

    def add_batch(self, batches: SqlBatchRepository, *, size: int = SIZE, webhook: Webhook | None = HOOK) -> Batch:
        batch = Batch(id=new_id(), created_at=NOON, size=size, owner="key-1", webhook=webhook)
        batches.add(batch)
        return batch

    def add_jobs(self, repository: SqlJobRepository, batch: Batch, count: int = SIZE) -> list[Job]:
        jobs = [make_job(batch=BatchPlace(id=batch.id, position=position)) for position in range(count)]
        for job in jobs:
            repository.add(job)
        return jobs

    def told(self, outbox: SqlOutbox) -> Sequence[Delivery]:
        return outbox.list(limit=100).deliveries

    def test_a_batch_comes_back_with_its_webhook(self, batches: SqlBatchRepository) -> None:
        batch = self.add_batch(batches)

        assert batches.get(batch.id) == batch

    def test_the_last_item_tells_of_the_end(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        batch = self.add_batch(batches)
        runs = [claim(repository, job) for job in self.add_jobs(repository, batch)]
        succeed(repository, runs[0])
        repository.fail(runs[1].id, lease_token=token_of(runs[1]), error=FAULT, now=after(2))
        assert self.told(outbox) == []

        succeed(repository, runs[2], at_s=3)

        [delivery] = self.told(outbox)
        assert (delivery.event, delivery.url, delivery.owner) == (EventType.BATCH_COMPLETED, HOOK.url, "key-1")
        assert (delivery.batch_id, delivery.job_id) == (batch.id, None)
        assert (delivery.status, delivery.next_attempt_at) == (DeliveryStatus.PENDING, after(3))
        data = json.loads(delivery.payload)["data"]
        assert (data["id"], data["status"], data["counts"]["failed"]) == (batch.id, "partially_succeeded", 1)

    def test_items_that_end_at_once_tell_once(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        batch = self.add_batch(batches, size=THREADS)
        runs = [claim(repository, job) for job in self.add_jobs(repository, batch, THREADS)]

        outcomes = outcomes_of([lambda run=run: succeed(repository, run) for run in runs])

        assert outcomes == [None] * THREADS
        assert len(self.told(outbox)) == 1

    def test_an_end_beside_a_cancel_of_the_batch_tells_once(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        batch = self.add_batch(batches)
        jobs = self.add_jobs(repository, batch)
        run = claim(repository, jobs[0])

        outcomes_of(
            [lambda: succeed(repository, run), lambda: batches.request_cancel(batch.id, now=after(1))]
            + [lambda: repository.sweep(now=after(1))] * 2
        )
        if not repository.get(run.id).status.is_terminal:
            repository.confirm_cancelled(run.id, lease_token=token_of(run), now=after(2))

        assert len(self.told(outbox)) == 1

    def test_items_that_wait_and_are_cancelled_end_the_batch(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        batch = self.add_batch(batches)
        jobs = self.add_jobs(repository, batch)

        for job in jobs:
            repository.request_cancel(job.id, now=NOON)

        [delivery] = self.told(outbox)
        assert json.loads(delivery.payload)["data"]["status"] == "cancelled"

    def test_a_batch_whose_workers_are_lost_ends_by_the_sweep(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        batch = self.add_batch(batches, size=1)
        [job] = self.add_jobs(repository, batch, 1)
        claim(repository, job)
        repository.request_cancel(job.id, now=NOON)

        repository.sweep(now=after(LEASE_S))
        repository.sweep(now=after(LEASE_S + 1))

        assert len(self.told(outbox)) == 1

    def test_a_refused_item_that_comes_last_tells_of_the_end(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        batch = self.add_batch(batches, size=2)
        [job] = self.add_jobs(repository, batch, 1)
        succeed(repository, claim(repository, job))
        assert self.told(outbox) == []

        batches.refuse(batch.id, [RefusedItem(position=1, name="notes.txt", problem=PROBLEM)], now=after(2))

        assert len(self.told(outbox)) == 1

    def test_a_batch_whose_intake_was_lost_is_told_once(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        batch = self.add_batch(batches)
        [job] = self.add_jobs(repository, batch, 1)
        succeed(repository, claim(repository, job))

        assert batches.announce_lost(now=after(INTAKE_TIMEOUT_S)) == 0
        assert [batches.announce_lost(now=after(INTAKE_TIMEOUT_S + 1)) for _ in range(2)] == [1, 0]
        [delivery] = self.told(outbox)
        assert [item["status"] for item in json.loads(delivery.payload)["data"]["items"]] == [
            "succeeded",
            "failed",
            "failed",
        ]

    @pytest.mark.parametrize("webhook", [None, Webhook(url=HOOK.url, events=JOB_EVENTS)], ids=["none", "jobs-only"])
    def test_nobody_is_told_who_does_not_want_to_be(
        self,
        batches: SqlBatchRepository,
        repository: SqlJobRepository,
        outbox: SqlOutbox,
        webhook: Webhook | None,
    ) -> None:
        batch = self.add_batch(batches, webhook=webhook and webhook.restricted_to(BATCH_EVENTS))
        for job in self.add_jobs(repository, batch):
            repository.request_cancel(job.id, now=NOON)

        assert self.told(outbox) == []

    def test_deliveries_can_be_listed_by_batch(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        first, second = self.add_batch(batches), self.add_batch(batches)
        for batch in (first, second):
            batches.refuse(
                batch.id, [RefusedItem(position=at, name="", problem=PROBLEM) for at in range(SIZE)], now=NOON
            )

        assert [delivery.batch_id for delivery in outbox.list(batch_id=first.id).deliveries] == [first.id]

    def test_a_batch_whose_intake_broke_off_is_cancelled_and_told_to_nobody(
        self, batches: SqlBatchRepository, repository: SqlJobRepository, outbox: SqlOutbox
    ) -> None:
        batch = self.add_batch(batches)
        jobs = self.add_jobs(repository, batch, 2)
        assert not batches.get(batch.id).is_whole

        batches.abandon(batch.id, now=NOON)

        assert {repository.get(job.id).status for job in jobs} == {JobStatus.CANCELLED}
        assert batches.announce_lost(now=after(INTAKE_TIMEOUT_S + 1)) == 0
        assert self.told(outbox) == []
