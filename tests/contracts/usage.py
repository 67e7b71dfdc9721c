"""What counting a key's jobs, and letting only so many run, must do: run against the fakes, SQLite and Postgres."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.access.limits import Usage, UsageRepository
from core.errors import LimitReached
from core.ids import new_id
from core.jobs import Job, JobStatus
from core.run_policy import limited_delay_s
from tests.contracts.repository import LEASE_S, THREADS, Repository, outcomes_of, succeed, token_of
from tests.factories import make_job

NOW = datetime.now(UTC)
"""Ids hold the time that they are made, and are what recent jobs are found by."""

KEY_MAX_RUNNING = 2
QUEUED_AT_MOST = 3


def add(repository: Repository, owner: str | None) -> Job:
    job = make_job(owner=owner, created_at=NOW)
    repository.add(job)
    return job


def claim_at(repository: Repository, job: Job, now: datetime) -> Job | None:
    return repository.claim(job.id, worker="w", lease_s=LEASE_S, now=now)


class UsageContract:
    """The fixtures `repository`, which lets KEY_MAX_RUNNING jobs of a key run, and `usage` are the subclass's."""

    @pytest.fixture
    def owner(self) -> str:
        return new_id()

    def test_a_new_key_uses_nothing(self, usage: UsageRepository, owner: str) -> None:
        assert usage.usage(owner, now=NOW) == Usage()

    def test_waiting_jobs_and_recent_bytes_are_counted_of_one_key(
        self, repository: Repository, usage: UsageRepository, owner: str
    ) -> None:
        first, second = add(repository, owner), add(repository, owner)
        add(repository, new_id())
        add(repository, None)
        assert claim_at(repository, first, NOW) is not None

        found = usage.usage(owner, now=NOW + timedelta(minutes=1))

        assert (found.queued, found.bytes_last_day) == (1, first.input.bytes + second.input.bytes)
        assert found.oldest_at == NOW

    def test_a_references_bytes_count_too(self, repository: Repository, usage: UsageRepository, owner: str) -> None:
        job = make_job(owner=owner, created_at=NOW)
        repository.add(replace(job, reference=replace(job.input, bytes=1000)))

        assert usage.usage(owner, now=NOW).bytes_last_day == job.input.bytes + 1000

    def test_yesterdays_bytes_do_not_count_and_waiting_jobs_still_do(
        self, repository: Repository, usage: UsageRepository, owner: str
    ) -> None:
        add(repository, owner)

        found = usage.usage(owner, now=NOW + timedelta(days=2))

        assert found == Usage(queued=1)

    def test_deleting_a_job_gives_no_bytes_back(
        self, repository: Repository, usage: UsageRepository, owner: str
    ) -> None:
        job = add(repository, owner)
        repository.request_cancel(job.id, now=NOW)
        repository.delete(job.id, now=NOW)

        assert usage.usage(owner, now=NOW) == Usage(bytes_last_day=job.input.bytes, oldest_at=NOW)

    def test_so_many_jobs_of_a_key_run_and_the_others_come_again_in_order(
        self, repository: Repository, owner: str
    ) -> None:
        jobs = [add(repository, owner) for _ in range(4)]
        runs = [claim_at(repository, job, NOW) for job in jobs]

        assert [run is not None for run in runs] == [True, True, False, False]
        third, fourth = repository.get(jobs[2].id), repository.get(jobs[3].id)
        assert (third.status, third.attempt, fourth.attempt) == (JobStatus.QUEUED, 0, 0)
        assert repository.sweep(now=NOW + timedelta(seconds=limited_delay_s(0) - 0.1)).to_send == []
        assert [job.id for job in repository.sweep(now=NOW + timedelta(seconds=limited_delay_s(0))).to_send] == [
            third.id
        ]
        assert [job.id for job in repository.sweep(now=NOW + timedelta(seconds=limited_delay_s(1))).to_send] == [
            third.id,
            fourth.id,
        ]

    def test_a_place_that_becomes_free_is_taken(self, repository: Repository, owner: str) -> None:
        jobs = [add(repository, owner) for _ in range(3)]
        first = claim_at(repository, jobs[0], NOW)
        assert first is not None
        assert claim_at(repository, jobs[1], NOW) is not None
        assert claim_at(repository, jobs[2], NOW) is None

        succeed(repository, replace(first, lease_token=token_of(first)))

        assert claim_at(repository, jobs[2], NOW) is not None

    def test_a_run_that_is_cancelling_takes_a_place(self, repository: Repository, owner: str) -> None:
        jobs = [add(repository, owner) for _ in range(3)]
        for job in jobs[:2]:
            assert claim_at(repository, job, NOW) is not None
        repository.request_cancel(jobs[0].id, now=NOW)

        assert claim_at(repository, jobs[2], NOW) is None

    def test_a_run_whose_worker_is_lost_is_taken_over_in_its_own_place(
        self, repository: Repository, owner: str
    ) -> None:
        jobs = [add(repository, owner) for _ in range(2)]
        for job in jobs:
            assert claim_at(repository, job, NOW) is not None

        assert claim_at(repository, jobs[0], NOW + timedelta(seconds=LEASE_S)) is not None

    def test_other_keys_and_jobs_without_one_are_not_held_up(self, repository: Repository, owner: str) -> None:
        for _ in range(KEY_MAX_RUNNING):
            assert claim_at(repository, add(repository, owner), NOW) is not None

        assert claim_at(repository, add(repository, new_id()), NOW) is not None
        for _ in range(KEY_MAX_RUNNING + 1):
            assert claim_at(repository, add(repository, None), NOW) is not None


class KeyLimitContract:
    """The fixture `limited`, which lets QUEUED_AT_MOST jobs of a key wait, is the subclass's."""

    def test_requests_that_come_at_once_do_not_pass_a_limit_together(self, limited: Repository) -> None:
        owner, other = new_id(), new_id()
        jobs = [make_job(owner=owner, created_at=NOW) for _ in range(THREADS - 1)]
        calls = [lambda job=job: limited.add(job) for job in (*jobs, make_job(owner=other, created_at=NOW))]

        outcomes = outcomes_of(calls)

        assert outcomes[-1] is None
        assert [type(outcome) for outcome in outcomes].count(LimitReached) == THREADS - 1 - QUEUED_AT_MOST
        assert len(limited.list(owner=owner).jobs) == QUEUED_AT_MOST

    def test_who_came_without_a_key_has_no_limit(self, limited: Repository) -> None:
        for _ in range(QUEUED_AT_MOST + 1):
            limited.add(make_job(created_at=NOW))

        assert len(limited.list().jobs) == QUEUED_AT_MOST + 1
