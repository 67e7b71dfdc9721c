"""What must have one outcome when it happens at once: run against the fake, SQLite and Postgres."""

from __future__ import annotations

import pytest

from core.errors import Conflict, JobCancelled, LeaseLost
from core.jobs import Job, JobStatus, Progress, Stage
from tests.contracts.repository import (
    LEASE_S,
    THREADS,
    Repository,
    after,
    claim,
    outcomes_of,
    succeed,
    token_of,
)
from tests.factories import NOON, make_job


class RaceContract:
    """The rules, one behaviour each; the fixture `repository` is the subclass's."""

    @pytest.fixture
    def job(self, repository: Repository) -> Job:
        """A queued job."""
        job = make_job()
        repository.add(job)
        return job

    def test_one_of_many_workers_wins_a_job(self, repository: Repository, job: Job) -> None:
        outcomes = outcomes_of(
            [lambda: repository.claim(job.id, worker="w", lease_s=LEASE_S, now=NOON)] * THREADS,
        )

        assert [run.attempt for run in outcomes if run is not None] == [1]

    def test_an_expired_lease_is_taken_over_once(self, repository: Repository, job: Job) -> None:
        claim(repository, job)

        outcomes = outcomes_of(
            [lambda: repository.claim(job.id, worker="w", lease_s=LEASE_S, now=after(LEASE_S + 1))] * THREADS,
        )

        assert [run.attempt for run in outcomes if run is not None] == [2]

    @pytest.mark.parametrize("race", range(5))
    def test_cancel_and_success_have_one_outcome(self, repository: Repository, job: Job, race: int) -> None:
        run = claim(repository, job)

        cancelled, succeeded = outcomes_of(
            [lambda: repository.request_cancel(job.id, now=after(1)), lambda: succeed(repository, run)]
        )

        status = repository.get(job.id).status
        if status is JobStatus.SUCCEEDED:
            assert isinstance(cancelled, Conflict)
            assert succeeded is None
        else:
            assert status is JobStatus.CANCELLING
            assert isinstance(succeeded, JobCancelled)
            assert repository.get(job.id).outputs == ()

    @pytest.mark.parametrize("race", range(5))
    def test_sweep_and_success_have_one_outcome(self, repository: Repository, job: Job, race: int) -> None:
        run = claim(repository, job)

        swept, succeeded = outcomes_of([lambda: repository.sweep(now=after(LEASE_S)), lambda: succeed(repository, run)])

        ended = repository.get(job.id)
        if succeeded is None:
            assert ended.status is JobStatus.SUCCEEDED
            assert not swept.to_send
        else:
            assert isinstance(succeeded, LeaseLost)
            assert ended.status is JobStatus.QUEUED
            assert ended.outputs == ()

    def test_many_writers_lose_nothing(self, repository: Repository) -> None:
        jobs = [make_job() for _ in range(THREADS)]

        def run_whole(job: Job) -> None:
            repository.add(job)
            run = repository.claim(job.id, worker="w", lease_s=LEASE_S, now=NOON)
            assert run is not None
            for step in range(10):
                progress = Progress(fraction=step / 10)
                repository.report_progress(run.id, lease_token=token_of(run), stage=Stage.ENHANCE, progress=progress)
            succeed(repository, run)

        outcomes = outcomes_of([lambda job=job: run_whole(job) for job in jobs])  # type: ignore[misc]

        assert outcomes == [None] * THREADS
        assert len(repository.list(status=JobStatus.SUCCEEDED).jobs) == THREADS
