"""How long files are kept, and what deleting a job does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.access.keys import ANYONE
from core.errors import Conflict, Expired, Gone
from core.jobs import Job, JobStatus, Problem
from core.retention import check_not_expired, delete_job, expire_jobs
from core.services import cancel_job, find_job
from tests.factories import NOON, make_job, make_output
from tests.fakes import FakeJobRepository, FakeObjectStore

WEEK_LATER = NOON + timedelta(days=7)


@pytest.fixture
def jobs() -> FakeJobRepository:
    return FakeJobRepository()


@pytest.fixture
def store() -> FakeObjectStore:
    return FakeObjectStore()


def add_queued(jobs: FakeJobRepository, store: FakeObjectStore) -> Job:
    job = make_job()
    store.put(job.input.key, b"noisy")
    jobs.add(job)
    return job


def add_cancelled(jobs: FakeJobRepository, store: FakeObjectStore) -> Job:
    return jobs.request_cancel(add_queued(jobs, store).id, now=NOON)


def delete(job: Job, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
    delete_job(job, jobs=jobs, retention=jobs, store=store, now=NOON)


class TestDeleteJob:
    def test_files_are_removed_and_the_job_is_gone(self, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
        job = add_cancelled(jobs, store)

        delete(job, jobs, store)

        assert store.objects == {}
        assert jobs.get(job.id).purged_at == NOON
        with pytest.raises(Gone):
            find_job(job.id, jobs=jobs, caller=ANYONE)
        with pytest.raises(Gone):
            cancel_job(job.id, jobs=jobs, caller=ANYONE, now=NOON)

    def test_a_job_that_ended_since_it_was_looked_at_is_deleted(
        self, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        seen = add_queued(jobs, store)
        run = jobs.claim(seen.id, worker="w", lease_s=60, now=NOON)
        assert run is not None
        assert run.lease_token is not None
        jobs.fail(run.id, lease_token=run.lease_token, error=Problem(code="x", title="t", detail="d"), now=NOON)

        delete(seen, jobs, store)

        assert jobs.get(seen.id).deleted_at == NOON
        assert store.objects == {}

    def test_queued_job_is_cancelled_and_deleted(self, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
        job = add_queued(jobs, store)

        delete(job, jobs, store)

        assert jobs.get(job.id).status is JobStatus.CANCELLED
        assert store.objects == {}

    def test_job_that_a_worker_has_just_taken_keeps_its_files(
        self, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        job = add_queued(jobs, store)
        jobs.claim(job.id, worker="w", lease_s=60, now=NOON)

        with pytest.raises(Conflict):
            delete(job, jobs, store)

        assert job.input.key in store.objects
        assert jobs.get(job.id).deleted_at is None

    def test_store_that_is_down_delays_only_the_files(self, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
        job = add_cancelled(jobs, store)
        store.is_down = True

        delete(job, jobs, store)

        assert jobs.get(job.id).deleted_at == NOON
        store.is_down = False
        assert expire_jobs(jobs, store, now=NOON) == 1
        assert store.objects == {}


class TestExpireJobs:
    def test_files_are_kept_to_the_end_of_their_time_and_then_removed_once(
        self, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        job = add_cancelled(jobs, store)

        assert expire_jobs(jobs, store, now=WEEK_LATER - timedelta(seconds=1)) == 0
        assert job.input.key in store.objects
        assert expire_jobs(jobs, store, now=WEEK_LATER) == 1
        assert store.objects == {}
        assert expire_jobs(jobs, store, now=WEEK_LATER) == 0

    def test_files_of_other_jobs_stay(self, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
        add_cancelled(jobs, store)
        waiting = add_queued(jobs, store)

        expire_jobs(jobs, store, now=WEEK_LATER)

        assert set(store.objects) == {waiting.input.key}

    def test_store_that_is_down_ends_the_round_and_loses_nothing(
        self, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        for _ in range(3):
            add_cancelled(jobs, store)
        store.is_down = True

        assert expire_jobs(jobs, store, now=WEEK_LATER) == 0
        store.is_down = False
        assert expire_jobs(jobs, store, now=WEEK_LATER) == 3


@pytest.mark.parametrize(
    ("job", "is_expired"),
    [
        (make_job(), False),
        (make_job(outputs=(make_output(),), expires_at=NOON + timedelta(seconds=1)), False),
        (make_job(outputs=(make_output(),), expires_at=NOON), True),
        (make_job(expires_at=NOON + timedelta(days=1), purged_at=NOON), True),
    ],
)
def test_files_expire_at_their_time_or_when_they_are_removed(job: Job, is_expired: bool) -> None:
    if is_expired:
        with pytest.raises(Expired):
            check_not_expired(job, now=NOON)
    else:
        check_not_expired(job, now=NOON)
