"""What the outbox must do, run against SQLite and Postgres."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.errors import Conflict, InvalidInput, NotFound
from core.ids import new_id
from core.jobs import Job, JobStatus, Lane, Problem
from core.repository_sql import SqlJobRepository
from core.webhooks.events import EventType, Webhook
from core.webhooks.outbox import Delivery, DeliveryStatus, Outcome
from core.webhooks.outbox_sql import SqlOutbox
from core.webhooks.payload import job_document
from tests.contracts.repository import LEASE_S as JOB_LEASE_S
from tests.contracts.repository import MAX_ATTEMPTS, THREADS, after, claim, outcomes_of, succeed, token_of
from tests.factories import NOON, make_job
from tests.fixed_ids import UNKNOWN_ID

URL = "https://example.com/hook"
WEBHOOK = Webhook(url=URL)
LEASE_S = 60.0
FAULT = Problem(code="invalid_audio", title="The audio cannot be used", detail="It holds no samples.")
DELIVERED = Outcome(status=DeliveryStatus.DELIVERED, http_status=204)
GONE = Outcome(status=DeliveryStatus.DISABLED, http_status=410, error="gone")
FAILED = Outcome(status=DeliveryStatus.FAILED, http_status=500, error="HTTP 500")


def retry_in(seconds: float) -> Outcome:
    return Outcome(status=DeliveryStatus.PENDING, retry_in_s=seconds, http_status=500, error="HTTP 500")


def make_delivery(**changes: Any) -> Delivery:  # noqa: ANN401 - any field of Delivery
    """A delivery that is due at NOON, with `changes`."""
    delivery = Delivery(
        id=new_id(),
        event=EventType.JOB_SUCCEEDED,
        url=URL,
        payload='{"type":"job.succeeded"}',
        created_at=NOON,
        job_id=new_id(),
        next_attempt_at=NOON,
    )
    return replace(delivery, **changes)


class OutboxContract:
    """The rules, one behaviour each; the fixtures `outbox` and `repository` are the subclass's, on one database."""

    @pytest.fixture
    def job(self, repository: SqlJobRepository) -> Job:
        """A queued job whose client wants to be told of everything."""
        job = make_job(webhook=WEBHOOK)
        repository.add(job)
        return job

    @staticmethod
    def claim(outbox: SqlOutbox, *, at_s: float = 0.0) -> Delivery:
        """Claim a delivery that must be due."""
        claimed = outbox.claim_due(lease_s=LEASE_S, now=after(at_s))
        assert claimed is not None
        return claimed

    def test_a_webhook_comes_back_with_its_job(self, repository: SqlJobRepository) -> None:
        webhook = Webhook(url=URL, events=(EventType.JOB_FAILED,), secret="whsec_x")
        job = make_job(webhook=webhook)

        repository.add(job)

        assert repository.get(job.id) == job

    def test_success_and_its_event_are_one_commit(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        succeed(repository, claim(repository, job), at_s=7)

        (delivery,) = outbox.list().deliveries
        assert (delivery.job_id, delivery.event, delivery.url) == (job.id, EventType.JOB_SUCCEEDED, URL)
        assert (delivery.status, delivery.attempts) == (DeliveryStatus.PENDING, 0)
        assert delivery.created_at == delivery.next_attempt_at == after(7)
        event = json.loads(delivery.payload)
        assert event["type"] == "job.succeeded"
        assert event["data"] == json.loads(json.dumps(job_document(repository.get(job.id))))
        assert len(event["data"]["outputs"]) == 1

    def test_failure_has_its_event(self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job) -> None:
        repository.fail(job.id, lease_token=token_of(claim(repository, job)), error=FAULT, now=after(1))

        (delivery,) = outbox.list().deliveries
        assert delivery.event is EventType.JOB_FAILED
        assert json.loads(delivery.payload)["data"]["error"]["code"] == "invalid_audio"

    def test_cancelling_a_queued_job_has_its_event(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        repository.request_cancel(job.id, now=after(1))

        assert [delivery.event for delivery in outbox.list().deliveries] == [EventType.JOB_CANCELLED]

    def test_cancelling_a_running_job_has_its_event_when_the_worker_has_stopped(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        run = claim(repository, job)
        repository.request_cancel(job.id, now=after(1))
        assert not outbox.list().deliveries

        repository.confirm_cancelled(job.id, lease_token=token_of(run), now=after(2))

        assert [delivery.event for delivery in outbox.list().deliveries] == [EventType.JOB_CANCELLED]

    def test_a_job_that_the_sweep_ends_has_its_event(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        cancelled = make_job(webhook=WEBHOOK)
        repository.add(cancelled)
        for attempt in range(MAX_ATTEMPTS):
            claim(repository, job, at_s=attempt * 2 * JOB_LEASE_S)
        claim(repository, cancelled)
        repository.request_cancel(cancelled.id, now=after(1))

        repository.sweep(now=after(MAX_ATTEMPTS * 2 * JOB_LEASE_S))

        events = {delivery.job_id: delivery.event for delivery in outbox.list().deliveries}
        assert events == {job.id: EventType.JOB_FAILED, cancelled.id: EventType.JOB_CANCELLED}

    def test_ending_twice_by_the_same_run_is_one_event(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        run = claim(repository, job)

        succeed(repository, run, at_s=1)
        succeed(repository, run, at_s=2)

        assert len(outbox.list().deliveries) == 1

    def test_a_run_that_lost_its_lease_tells_nobody(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        old = claim(repository, job)
        claim(repository, job, at_s=JOB_LEASE_S + 1)

        outcomes_of([lambda: succeed(repository, old)])

        assert not outbox.list().deliveries

    def test_only_wanted_events_are_stored(self, repository: SqlJobRepository, outbox: SqlOutbox) -> None:
        silent, other = make_job(), make_job(webhook=Webhook(url=URL, events=(EventType.JOB_FAILED,)))
        for job in (silent, other):
            repository.add(job)
            succeed(repository, claim(repository, job))

        assert not outbox.list().deliveries

    def test_a_due_delivery_is_claimed_once_under_a_lease(self, outbox: SqlOutbox) -> None:
        delivery = make_delivery(secret="whsec_x")
        outbox.add(delivery)

        assert outbox.has_due(now=NOON)
        claimed = self.claim(outbox, at_s=1)

        assert claimed.lease_token
        assert claimed == replace(
            delivery,
            attempts=1,
            last_attempt_at=after(1),
            next_attempt_at=after(1 + LEASE_S),
            lease_token=claimed.lease_token,
        )
        assert not outbox.has_due(now=after(2))
        assert outbox.claim_due(lease_s=LEASE_S, now=after(2)) is None

    def test_many_workers_claim_each_delivery_once(self, outbox: SqlOutbox) -> None:
        for _ in range(THREADS // 2):
            outbox.add(make_delivery())
        calls: list[Callable[[], Any]] = [lambda: outbox.claim_due(lease_s=LEASE_S, now=NOON)] * THREADS

        claimed = [outcome.id for outcome in outcomes_of(calls) if outcome is not None]

        assert len(set(claimed)) == len(claimed)
        while (rest := outbox.claim_due(lease_s=LEASE_S, now=NOON)) is not None:
            claimed.append(rest.id)
        assert sorted(claimed) == sorted(delivery.id for delivery in outbox.list().deliveries)

    def test_an_attempt_whose_worker_is_lost_is_made_again(self, outbox: SqlOutbox) -> None:
        outbox.add(make_delivery())
        lost = self.claim(outbox)

        again = self.claim(outbox, at_s=LEASE_S)

        assert again.attempts == 2
        assert not outbox.record(lost, DELIVERED, now=after(LEASE_S + 1))
        assert outbox.get(lost.id) == again

    def test_first_attempts_go_before_retries(self, outbox: SqlOutbox) -> None:
        retried, fresh = make_delivery(), make_delivery(next_attempt_at=after(20))
        outbox.add(retried)
        outbox.record(self.claim(outbox), retry_in(5), now=NOON)
        outbox.add(fresh)

        assert [self.claim(outbox, at_s=30).id for _ in range(2)] == [fresh.id, retried.id]

    def test_a_delivered_event_is_not_sent_again(self, outbox: SqlOutbox) -> None:
        outbox.add(make_delivery())
        claimed = self.claim(outbox)

        assert outbox.record(claimed, DELIVERED, now=after(1))

        stored = outbox.get(claimed.id)
        assert (stored.status, stored.last_status, stored.last_error) == (DeliveryStatus.DELIVERED, 204, None)
        assert stored.next_attempt_at is None
        assert not outbox.has_due(now=after(1_000_000))

    def test_a_failed_attempt_is_due_again_after_its_delay(self, outbox: SqlOutbox) -> None:
        outbox.add(make_delivery())
        claimed = self.claim(outbox)

        outbox.record(claimed, retry_in(300), now=after(10))

        stored = outbox.get(claimed.id)
        assert (stored.status, stored.last_status, stored.last_error) == (DeliveryStatus.PENDING, 500, "HTTP 500")
        assert stored.next_attempt_at == after(310)
        assert not outbox.has_due(now=after(309))
        assert self.claim(outbox, at_s=310).attempts == 2

    def test_gone_turns_every_event_to_the_url_off(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        gone, waiting, elsewhere = make_delivery(), make_delivery(), make_delivery(url="https://other.example/")
        for delivery in (gone, waiting, elsewhere):
            outbox.add(delivery)
        assert outbox.record(self.claim(outbox), GONE, now=after(1))

        succeed(repository, claim(repository, job))

        off = outbox.list(status=DeliveryStatus.DISABLED).deliveries
        assert [delivery.job_id for delivery in off] == [job.id, waiting.job_id, gone.job_id]
        assert self.claim(outbox, at_s=2).id == elsewhere.id
        assert not outbox.has_due(now=after(3))

    def test_a_replay_that_arrives_turns_the_url_on_again(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        gone = make_delivery()
        outbox.add(gone)
        outbox.record(self.claim(outbox), GONE, now=after(1))
        other = make_job(webhook=WEBHOOK, lane=Lane.BULK)  # a queue of its own, so that its turn is next
        repository.add(other)
        succeed(repository, claim(repository, other))

        outbox.replay(gone.id, now=after(2))
        outbox.record(self.claim(outbox, at_s=2), DELIVERED, now=after(3))
        succeed(repository, claim(repository, job))

        by_job = {delivery.job_id: delivery.status for delivery in outbox.list().deliveries}
        assert by_job == {
            gone.job_id: DeliveryStatus.DELIVERED,
            other.id: DeliveryStatus.FAILED,
            job.id: DeliveryStatus.PENDING,
        }

    @pytest.mark.parametrize("outcome", [DELIVERED, FAILED, GONE])
    def test_a_replay_begins_again_under_the_same_id(self, outbox: SqlOutbox, outcome: Outcome) -> None:
        outbox.add(make_delivery())
        claimed = self.claim(outbox)
        outbox.record(claimed, outcome, now=after(1))

        replayed = outbox.replay(claimed.id, now=after(100))

        assert (replayed.id, replayed.status, replayed.attempts) == (claimed.id, DeliveryStatus.PENDING, 0)
        again = self.claim(outbox, at_s=100)
        assert (again.id, again.payload, again.attempts) == (claimed.id, claimed.payload, 1)

    def test_a_pending_delivery_is_not_replayed(self, outbox: SqlOutbox) -> None:
        delivery = make_delivery()
        outbox.add(delivery)

        with pytest.raises(Conflict):
            outbox.replay(delivery.id, now=after(1))

        assert outbox.get(delivery.id) == delivery

    @pytest.mark.parametrize("delivery_id", [UNKNOWN_ID, "", "no-uuid", "\x00", "../x"])
    def test_an_unknown_delivery_is_not_found(self, outbox: SqlOutbox, delivery_id: str) -> None:
        with pytest.raises(NotFound):
            outbox.get(delivery_id)
        with pytest.raises(NotFound):
            outbox.replay(delivery_id, now=NOON)

    def test_pages_go_from_the_newest_to_the_oldest_without_gap_or_repeat(self, outbox: SqlOutbox) -> None:
        deliveries = [make_delivery() for _ in range(5)]
        for delivery in deliveries:
            outbox.add(delivery)

        first = outbox.list(limit=3)
        second = outbox.list(limit=3, cursor=first.next_cursor)

        assert [*first.deliveries, *second.deliveries] == deliveries[::-1]
        assert second.next_cursor is None

    def test_a_list_can_be_of_one_job_or_status(self, outbox: SqlOutbox) -> None:
        mine, other = make_delivery(), make_delivery(next_attempt_at=after(9))
        outbox.add(mine)
        outbox.add(other)
        outbox.record(self.claim(outbox), FAILED, now=after(1))

        assert [delivery.id for delivery in outbox.list(job_id=other.job_id).deliveries] == [other.id]
        assert [delivery.id for delivery in outbox.list(status=DeliveryStatus.FAILED).deliveries] == [mine.id]

    def test_a_list_can_be_of_one_owner(self, repository: SqlJobRepository, outbox: SqlOutbox) -> None:
        for owner in ("one", "other"):
            job = make_job(webhook=WEBHOOK, owner=owner)
            repository.add(job)
            repository.request_cancel(job.id, now=after(1))

        assert [delivery.owner for delivery in outbox.list(owner="one").deliveries] == ["one"]
        assert len(outbox.list().deliveries) == 2

    def test_deleting_a_job_deletes_its_events(self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job) -> None:
        other = make_delivery()
        outbox.add(other)
        repository.request_cancel(job.id, now=after(1))

        repository.delete(job.id, now=after(2))

        assert outbox.list().deliveries == [other]
        assert repository.get(job.id).webhook is None

    def test_a_foreign_cursor_is_refused(self, outbox: SqlOutbox) -> None:
        with pytest.raises(InvalidInput, match="cursor"):
            outbox.list(cursor="' OR 1=1")

    def test_old_deliveries_are_purged_but_for_those_that_still_matter(self, outbox: SqlOutbox) -> None:
        long_ago = NOON - timedelta(days=40)
        outcomes = [DELIVERED, FAILED, GONE, retry_in(5)]
        for number, outcome in enumerate(outcomes):
            outbox.add(make_delivery(created_at=long_ago, url=f"https://example.com/{number}"))
            outbox.record(self.claim(outbox), outcome, now=NOON)
        recent = make_delivery()
        outbox.add(recent)
        outbox.record(self.claim(outbox), DELIVERED, now=NOON)

        purged = outbox.purge(before=NOON - timedelta(days=30))

        assert purged == 2
        kept = [delivery.status for delivery in outbox.list().deliveries]
        assert kept == [DeliveryStatus.DELIVERED, DeliveryStatus.PENDING, DeliveryStatus.DISABLED]

    def test_a_cancelled_job_of_a_lost_race_is_told_once(
        self, repository: SqlJobRepository, outbox: SqlOutbox, job: Job
    ) -> None:
        run = claim(repository, job)

        outcomes_of(
            [lambda: succeed(repository, run), lambda: repository.request_cancel(job.id, now=after(1))],
        )

        has_succeeded = repository.get(job.id).status is JobStatus.SUCCEEDED
        assert [delivery.event for delivery in outbox.list().deliveries] == [EventType.JOB_SUCCEEDED] * has_succeeded
