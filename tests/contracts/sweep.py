"""What every RunRepository must do with messages and lost workers: run against the fake, SQLite and Postgres."""

from __future__ import annotations

import pytest

from core.jobs import Device, Job, JobStatus, Lane
from tests.contracts.repository import (
    LEASE_S,
    MAX_ATTEMPTS,
    Repository,
    after,
    claim,
    token_of,
)
from tests.factories import make_job


class SweepContract:
    """The rules, one behaviour each; the fixture `repository` is the subclass's."""

    @pytest.fixture
    def job(self, repository: Repository) -> Job:
        """A queued job."""
        job = make_job()
        repository.add(job)
        return job

    def test_a_released_job_waits_unsent_until_its_delay_is_over(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)

        repository.release(job.id, lease_token=token_of(run), now=after(1), counts_as_attempt=True, retry_after_s=20)

        assert repository.get(job.id).status is JobStatus.QUEUED
        assert repository.get(job.id).lease_token is None
        assert not repository.sweep(now=after(20)).to_send
        assert [due.id for due in repository.sweep(now=after(21)).to_send] == [job.id]

    def test_a_new_job_is_left_to_its_submitter_for_a_moment(self, repository: Repository, job: Job) -> None:
        assert not repository.sweep(now=after(1)).to_send
        assert [due.id for due in repository.sweep(now=after(5)).to_send] == [job.id]

    def test_a_sent_job_is_sent_again_ever_more_rarely(self, repository: Repository, job: Job) -> None:
        repository.mark_sent(job.id, now=after(0))

        assert not repository.sweep(now=after(29)).to_send
        assert repository.sweep(now=after(30)).to_send

        repository.mark_sent(job.id, now=after(30))

        assert not repository.sweep(now=after(89)).to_send
        assert repository.sweep(now=after(90)).to_send

    def test_the_sweep_sends_the_most_overdue_first_and_no_more_than_it_may(self, repository: Repository) -> None:
        late, later, latest = (make_job(created_at=after(seconds)) for seconds in (0, 1, 2))
        for job in (latest, late, later):
            repository.add(job)

        to_send = repository.sweep(now=after(60), limit=2).to_send

        assert [due.id for due in to_send] == [late.id, later.id]

    def test_the_sweep_requeues_a_run_whose_lease_has_expired(self, repository: Repository, job: Job) -> None:
        repository.mark_sent(job.id, now=after(0))
        claim(repository, job)

        assert not repository.sweep(now=after(LEASE_S - 1)).to_send
        swept = repository.sweep(now=after(LEASE_S))

        assert [due.id for due in swept.to_send] == [job.id]
        assert repository.get(job.id).status is JobStatus.QUEUED
        assert not swept.ended
        assert claim(repository, job, at_s=LEASE_S + 1).attempt == 2

    def test_a_job_that_loses_every_worker_fails(self, repository: Repository, job: Job) -> None:
        for attempt in range(MAX_ATTEMPTS):
            claim(repository, job, at_s=attempt * 2 * LEASE_S)
            swept = repository.sweep(now=after((attempt * 2 + 1) * LEASE_S))

        assert [ended.id for ended in swept.ended] == [job.id]
        assert not swept.to_send
        lost = repository.get(job.id)
        assert lost.status is JobStatus.FAILED
        assert lost.attempt == MAX_ATTEMPTS
        assert lost.error is not None
        assert lost.error.code == "worker_lost"

    def test_a_job_out_of_attempts_is_not_taken_over(self, repository: Repository, job: Job) -> None:
        for attempt in range(MAX_ATTEMPTS):
            claim(repository, job, at_s=attempt * 2 * LEASE_S)

        late = after(MAX_ATTEMPTS * 2 * LEASE_S)

        assert repository.claim(job.id, worker="w", lease_s=LEASE_S, now=late) is None

    def test_attempts_that_a_shutdown_cut_short_do_not_count(self, repository: Repository, job: Job) -> None:
        for shutdown in range(MAX_ATTEMPTS + 1):
            run = claim(repository, job, at_s=shutdown)
            repository.release(job.id, lease_token=token_of(run), now=after(shutdown), counts_as_attempt=False)
        run = claim(repository, job, at_s=100)

        swept = repository.sweep(now=after(100 + LEASE_S))

        assert run.attempt == MAX_ATTEMPTS + 2
        assert [due.id for due in swept.to_send] == [job.id]

    def test_the_sweep_confirms_a_cancel_whose_worker_is_gone(self, repository: Repository, job: Job) -> None:
        claim(repository, job)
        repository.request_cancel(job.id, now=after(1))

        swept = repository.sweep(now=after(LEASE_S))

        assert [ended.id for ended in swept.ended] == [job.id]
        assert repository.get(job.id).status is JobStatus.CANCELLED

    def test_jobs_are_sent_before_their_time_when_their_messages_are_lost(
        self, repository: Repository, job: Job
    ) -> None:
        bulk, put_off = make_job(lane=Lane.BULK), make_job()
        for other in (bulk, put_off):
            repository.add(other)
        claim(repository, job)
        run = claim(repository, put_off)
        repository.release(run.id, lease_token=token_of(run), now=after(1), counts_as_attempt=True, retry_after_s=300)
        waiting = [make_job() for _ in range(3)]
        for other in waiting:
            repository.add(other)
        for other in (bulk, *waiting):
            repository.mark_sent(other.id, now=after(5))

        assert repository.make_due(Device.CPU, Lane.INTERACTIVE, now=after(9), limit=2) == 2

        assert {due.id for due in repository.sweep(now=after(9)).to_send} == {other.id for other in waiting[:2]}
