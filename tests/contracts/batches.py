"""What every BatchRepository must do, beside the jobs' repository: run against the fake, SQLite and Postgres."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.batches.batch import Batch, BatchRepository, RefusedItem
from core.errors import NotFound
from core.ids import new_id
from core.jobs import BatchPlace, Job, JobStatus, Problem, Progress, Stage
from tests.contracts.repository import FAULT, LEASE_S, Repository, after, claim, outcomes_of, succeed, token_of
from tests.contracts.retention import RETENTION_S
from tests.factories import NOON, make_job, make_output

REFUSED = RefusedItem(position=1, name="notes.txt", problem=Problem(code="unsupported_media", title="t", detail="d"))


@dataclass(frozen=True, kw_only=True)
class Repositories:
    """The two, over the same rows."""

    batches: BatchRepository
    jobs: Repository


class BatchContract:
    """The rules, one behaviour each; the fixture `repositories` is the subclass's."""

    @pytest.fixture
    def batch(self, repositories: Repositories) -> Batch:
        """A batch of three, as yet without jobs."""
        batch = Batch(id=new_id(), created_at=NOON, size=3, owner="key-1")
        repositories.batches.add(batch)
        return batch

    @pytest.fixture
    def members(self, repositories: Repositories, batch: Batch) -> list[Job]:
        """Its three jobs, queued, among others."""
        jobs = [make_job(batch=BatchPlace(id=batch.id, position=position)) for position in range(3)]
        for job in (make_job(), *reversed(jobs), make_job(batch=BatchPlace(id=new_id(), position=0))):
            repositories.jobs.add(job)
        return jobs

    def test_a_stored_batch_comes_back_as_it_was(self, repositories: Repositories, batch: Batch) -> None:
        assert repositories.batches.get(batch.id) == batch

    @pytest.mark.parametrize("batch_id", ["0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "", "no-uuid", "\x00"])
    def test_an_unknown_id_is_not_found(self, repositories: Repositories, batch_id: str) -> None:
        with pytest.raises(NotFound):
            repositories.batches.get(batch_id)

    def test_a_batch_knows_its_own_jobs_in_the_order_of_the_request(
        self, repositories: Repositories, batch: Batch, members: list[Job]
    ) -> None:
        assert [item.job_id for item in repositories.batches.get(batch.id).jobs] == [job.id for job in members]

    def test_a_job_knows_its_batch(self, repositories: Repositories, batch: Batch, members: list[Job]) -> None:
        assert repositories.jobs.get(members[2].id).batch == BatchPlace(id=batch.id, position=2)

    def test_jobs_can_be_listed_by_batch(self, repositories: Repositories, batch: Batch, members: list[Job]) -> None:
        page = repositories.jobs.list(batch_id=batch.id, limit=2)
        rest = repositories.jobs.list(batch_id=batch.id, cursor=page.next_cursor)

        assert [job.id for job in (*page.jobs, *rest.jobs)] == [job.id for job in reversed(members)]

    def test_items_tell_what_their_jobs_tell(
        self, repositories: Repositories, batch: Batch, members: list[Job]
    ) -> None:
        running, failed, _ = [claim(repositories.jobs, job) for job in members]
        repositories.jobs.report_progress(
            running.id, lease_token=token_of(running), stage=Stage.ENHANCE, progress=Progress(fraction=0.25)
        )
        repositories.jobs.fail(failed.id, lease_token=token_of(failed), error=FAULT, now=after(1))

        first, second, _ = repositories.batches.get(batch.id).jobs

        assert (first.status, first.fraction, first.duration_s) == (JobStatus.RUNNING, 0.25, 10.0)
        assert (first.name, first.input_bytes, first.input_sha256) == ("talk.wav", 320_044, "0" * 64)
        assert (second.status, second.problem) == (JobStatus.FAILED, FAULT)

    def test_refused_items_are_kept_with_their_reasons(self, repositories: Repositories, batch: Batch) -> None:
        repositories.batches.refuse(batch.id, [REFUSED], now=NOON)

        assert repositories.batches.get(batch.id).refused == (REFUSED,)

    def test_outputs_come_by_job_in_their_order(
        self, repositories: Repositories, batch: Batch, members: list[Job]
    ) -> None:
        outputs = [make_output("b.wav"), make_output("a.wav", role="residual")]
        succeed(repositories.jobs, claim(repositories.jobs, members[0]), outputs=outputs)

        assert repositories.batches.outputs(batch.id) == {members[0].id: outputs}

    def test_cancelling_ends_what_waits_and_asks_what_runs_to_stop(
        self, repositories: Repositories, batch: Batch, members: list[Job]
    ) -> None:
        running, done, queued = members
        claim(repositories.jobs, running)
        succeed(repositories.jobs, claim(repositories.jobs, done))

        repositories.batches.request_cancel(batch.id, now=after(5))

        assert [repositories.jobs.get(job.id).status for job in members] == [
            JobStatus.CANCELLING,
            JobStatus.SUCCEEDED,
            JobStatus.CANCELLED,
        ]
        ended = repositories.jobs.get(queued.id)
        assert (ended.finished_at, ended.expires_at) == (after(5), after(5 + RETENTION_S))
        assert repositories.jobs.get(running.id).finished_at is None

    def test_cancelling_leaves_other_jobs_alone(
        self, repositories: Repositories, batch: Batch, members: list[Job]
    ) -> None:
        repositories.batches.request_cancel(batch.id, now=NOON)

        left = repositories.jobs.list(status=JobStatus.QUEUED).jobs
        assert len(left) == 2
        assert all(job.batch is None or job.batch.id != batch.id for job in left)

    def test_no_claim_slips_past_a_cancel(self, repositories: Repositories, batch: Batch, members: list[Job]) -> None:
        claims = [
            lambda job=job: repositories.jobs.claim(job.id, worker="w", lease_s=LEASE_S, now=NOON) for job in members
        ]

        outcomes_of([*claims, lambda: repositories.batches.request_cancel(batch.id, now=NOON)])

        statuses = {repositories.jobs.get(job.id).status for job in members}
        assert statuses <= {JobStatus.CANCELLED, JobStatus.CANCELLING}
