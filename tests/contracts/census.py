"""What the census must count: run against SQLite and Postgres."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Engine

from core.jobs import JobStatus
from core.monitoring.census import DeliveryBacklog, JobCount
from core.monitoring.census_sql import SqlCensusTaker
from core.repository_sql import SqlJobRepository
from core.webhooks.outbox import DeliveryStatus
from core.webhooks.outbox_sql import SqlOutbox
from tests.contracts.outbox import make_delivery
from tests.contracts.repository import after, claim, succeed
from tests.factories import NOON, make_job


class CensusContract:
    """The fixture `engine`, of an empty database, is the subclass's."""

    def test_nothing_is_in_hand_at_first(self, engine: Engine) -> None:
        taker = SqlCensusTaker(engine)

        assert taker.count_jobs() == []
        assert taker.count_deliveries(now=NOON) == DeliveryBacklog()

    def test_jobs_that_wait_or_run_are_counted_by_state_and_preset(self, engine: Engine) -> None:
        repository = SqlJobRepository(engine)
        ended, running, cancelling = (make_job() for _ in range(3))
        for job in (ended, running, cancelling, make_job(), make_job(preset="speech"), make_job(preset="speech")):
            repository.add(job)
        succeed(repository, claim(repository, ended))
        claim(repository, running)
        claim(repository, cancelling)
        repository.request_cancel(cancelling.id, now=NOON)

        assert SqlCensusTaker(engine).count_jobs() == [
            JobCount(status=JobStatus.CANCELLING, preset="clean-only", count=1),
            JobCount(status=JobStatus.QUEUED, preset="clean-only", count=1),
            JobCount(status=JobStatus.QUEUED, preset="speech", count=2),
            JobCount(status=JobStatus.RUNNING, preset="clean-only", count=1),
        ]

    def test_deliveries_that_are_pending_are_counted_and_the_oldest_due_says_since_when(self, engine: Engine) -> None:
        outbox = SqlOutbox(engine)
        for delay_s in (60, 30, 900):
            outbox.add(make_delivery(next_attempt_at=after(delay_s)))
        outbox.add(replace(make_delivery(), status=DeliveryStatus.FAILED, next_attempt_at=None))
        taker = SqlCensusTaker(engine)

        assert taker.count_deliveries(now=after(0)) == DeliveryBacklog(pending=3, due_since=None)
        due = taker.count_deliveries(now=after(90))
        assert due == DeliveryBacklog(pending=3, due_since=after(30))
        assert due.oldest_age_s(now=after(90)) == 60
