"""What every RetentionRepository must do: run against the fake, SQLite and Postgres."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.errors import Conflict, NotFound
from core.ids import new_id
from core.jobs import Job, JobStatus
from tests.contracts.repository import FAULT, LEASE_S, Repository, after, claim, succeed, token_of
from tests.factories import NOON, make_job

RETENTION_S = 7 * 86_400.0  # every repository's default
LATER = NOON + timedelta(days=30)


def add_ended(repository: Repository, *, expires_at: datetime) -> Job:
    """A job that has succeeded, with its files kept until `expires_at`."""
    job = make_job()
    repository.add(job)
    succeed(repository, claim(repository, job), expires_at=expires_at)
    return repository.get(job.id)


class RetentionContract:
    """The rules, one behaviour each; the fixture `repository` is the subclass's."""

    def test_only_what_is_due_expires_the_longest_due_first(self, repository: Repository) -> None:
        second = add_ended(repository, expires_at=after(200))
        first = add_ended(repository, expires_at=after(100))
        add_ended(repository, expires_at=after(301))

        assert repository.list_expired(now=after(300)) == [first.id, second.id]
        assert repository.list_expired(now=after(300), limit=1) == [first.id]

    def test_what_is_purged_is_not_due_again(self, repository: Repository) -> None:
        job = add_ended(repository, expires_at=after(100))

        repository.mark_purged(job.id, now=after(200))
        repository.mark_purged(job.id, now=after(300))

        assert repository.list_expired(now=LATER) == []
        assert repository.get(job.id).purged_at == after(200)

    def test_a_job_that_has_not_ended_never_expires(self, repository: Repository) -> None:
        running, queued = make_job(), make_job()
        for job in (running, queued):
            repository.add(job)
        claim(repository, running)

        assert repository.list_expired(now=LATER) == []

    @pytest.mark.parametrize("end", ["fail", "cancel queued", "cancel running", "lose the worker"])
    def test_a_job_that_ends_without_outputs_expires_too(self, repository: Repository, end: str) -> None:
        job = make_job()
        repository.add(job)
        if end == "cancel queued":
            repository.request_cancel(job.id, now=after(1))
        else:
            token = token_of(claim(repository, job))
            if end == "fail":
                repository.fail(job.id, lease_token=token, error=FAULT, now=after(1))
            else:
                repository.request_cancel(job.id, now=after(0))
            if end == "cancel running":
                repository.confirm_cancelled(job.id, lease_token=token, now=after(1))
            if end == "lose the worker":
                repository.sweep(now=after(LEASE_S))

        ended = repository.get(job.id)
        assert ended.finished_at is not None
        assert ended.expires_at == ended.finished_at + timedelta(seconds=RETENTION_S)

    def test_deleting_leaves_a_tombstone_that_is_due_at_once(self, repository: Repository) -> None:
        job = add_ended(repository, expires_at=LATER)

        repository.delete(job.id, now=after(10))

        tombstone = repository.get(job.id)
        assert (tombstone.deleted_at, tombstone.status) == (after(10), JobStatus.SUCCEEDED)
        assert (tombstone.created_at, tombstone.finished_at) == (job.created_at, job.finished_at)
        assert (tombstone.input.name, tombstone.metadata, tombstone.outputs, tombstone.report) == ("", {}, (), None)
        assert repository.list_expired(now=after(10)) == [job.id]

    def test_a_tombstone_tells_nothing_of_the_reference(self, repository: Repository) -> None:
        job = make_job(status=JobStatus.QUEUED)
        repository.add(replace(job, reference=replace(job.input, key=f"jobs/{job.id}/reference")))
        repository.request_cancel(job.id, now=after(1))

        repository.delete(job.id, now=after(2))

        assert repository.get(job.id).reference is None

    def test_a_tombstone_is_not_listed(self, repository: Repository) -> None:
        kept, deleted = add_ended(repository, expires_at=LATER), add_ended(repository, expires_at=LATER)

        repository.delete(deleted.id, now=after(10))

        assert [job.id for job in repository.list().jobs] == [kept.id]

    def test_results_of_a_recording_are_the_owners_that_are_kept(self, repository: Repository) -> None:
        recording = make_job().input
        older, newer = add_ended(repository, expires_at=LATER), add_ended(repository, expires_at=LATER)
        repository.mark_purged(add_ended(repository, expires_at=LATER).id, now=after(1))
        add_ended(repository, expires_at=after(2))
        repository.add(make_job())

        def find(**changes: Any) -> list[str]:  # noqa: ANN401
            wanted = {"size_bytes": recording.bytes, "owner": None, "now": after(2), **changes}
            return [job.id for job in repository.list_results_of(wanted.pop("sha256", recording.sha256), **wanted)]

        assert find() == [newer.id, older.id]
        assert find(owner=new_id()) == find(size_bytes=1) == find(sha256="f" * 64) == find(now=LATER) == []

    def test_deleting_twice_changes_nothing(self, repository: Repository) -> None:
        job = add_ended(repository, expires_at=LATER)

        repository.delete(job.id, now=after(10))
        repository.delete(job.id, now=after(20))

        assert repository.get(job.id).deleted_at == after(10)

    def test_a_job_that_has_not_ended_is_not_deleted(self, repository: Repository) -> None:
        running, cancelling, queued = make_job(), make_job(), make_job()
        for job in (running, cancelling, queued):
            repository.add(job)
        claim(repository, running)
        claim(repository, cancelling)
        repository.request_cancel(cancelling.id, now=after(1))

        for job in (queued, running, cancelling):
            with pytest.raises(Conflict, match="Cancel it first"):
                repository.delete(job.id, now=after(2))

    def test_deleting_an_unknown_job_is_not_found(self, repository: Repository) -> None:
        with pytest.raises(NotFound):
            repository.delete(new_id(), now=NOON)
