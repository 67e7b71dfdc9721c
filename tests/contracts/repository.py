"""What every JobRepository and RunRepository must do: run against the fake, SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any, Protocol

import pytest

from core.errors import Conflict, EnhancerError, JobCancelled, LeaseLost, NotFound
from core.ids import new_id
from core.jobs import Device, InputFile, Job, JobStatus, Lane, Problem, Progress, Stage
from core.repository import JobRepository, RetentionRepository, RunRepository
from tests.factories import NOON, make_job, make_output
from tests.fixed_ids import UNKNOWN_ID

MAX_ATTEMPTS = 3
RESEND_AFTER_S = 30.0
LEASE_S = 60.0
THREADS = 8

FAULT = Problem(code="invalid_audio", title="The audio cannot be used", detail="It holds no samples.")


class Repository(JobRepository, RunRepository, RetentionRepository, Protocol):
    """The ports at once, as every adapter has them."""

    def mark_sent(self, job_id: str, *, now: Any) -> None: ...  # noqa: ANN401


def after(seconds: float) -> Any:  # noqa: ANN401
    """A time, `seconds` after NOON."""
    return NOON + timedelta(seconds=seconds)


def claim(repository: Repository, job: Job, *, at_s: float = 0.0) -> Job:
    """Claim a job that must be claimable, and next in its queue."""
    claimed = repository.claim(job.id, worker="w", lease_s=LEASE_S, now=after(at_s))
    assert claimed is not None
    assert claimed.id == job.id
    return claimed


def succeed(repository: Repository, run: Job, *, at_s: float = 1.0, **changes: Any) -> None:  # noqa: ANN401
    """End a run well."""
    arguments: dict[str, Any] = {
        "outputs": [make_output()],
        "report": {"rtf": 0.1},
        "warnings": [],
        "progress": Progress(fraction=1.0, processed_s=10.0, duration_s=10.0, eta_s=0.0, rtf=0.1),
        "expires_at": after(86_400),
        **changes,
    }
    repository.succeed(run.id, lease_token=token_of(run), now=after(at_s), **arguments)


def token_of(run: Job) -> str:
    """The lease token of a claimed job."""
    assert run.lease_token is not None
    return run.lease_token


def outcomes_of(calls: list[Callable[[], Any]]) -> list[Any]:
    """What the calls returned or raised when all were let go at once, each in its own thread."""
    barrier = Barrier(len(calls))

    def outcome(call: Callable[[], Any]) -> Any:  # noqa: ANN401
        barrier.wait()
        try:
            return call()
        except EnhancerError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


class RepositoryContract:
    """The rules, one behaviour each; the fixture `repository` is the subclass's."""

    @pytest.fixture
    def job(self, repository: Repository) -> Job:
        """A queued job."""
        job = make_job()
        repository.add(job)
        return job

    def test_a_stored_job_comes_back_as_it_was(self, repository: Repository) -> None:
        job = make_job(metadata={"z": 1, "a": [1.5, None, "ä"]}, lane=Lane.BULK, device=Device.GPU)

        repository.add(job)

        stored = repository.get(job.id)
        assert stored == job
        assert list(stored.metadata) == ["z", "a"]

    @pytest.mark.parametrize("job_id", [UNKNOWN_ID, "", "no-uuid", "\x00", "../x", "ä" * 300])
    def test_an_unknown_id_is_not_found(self, repository: Repository, job_id: str) -> None:
        with pytest.raises(NotFound):
            repository.get(job_id)
        with pytest.raises(NotFound):
            repository.request_cancel(job_id, now=NOON)
        assert repository.claim(job_id, worker="w", lease_s=LEASE_S, now=NOON) is None

    def test_pages_go_from_the_newest_to_the_oldest_without_gap_or_repeat(self, repository: Repository) -> None:
        ids = [make_job().id for _ in range(7)]
        for job_id in ids:
            repository.add(make_job(id=job_id))

        seen, cursor = [], None
        for _ in range(3):
            page = repository.list(cursor=cursor, limit=3)
            seen += [job.id for job in page.jobs]
            cursor = page.next_cursor

        assert seen == ids[::-1]
        assert cursor is None

    def test_a_list_can_be_of_one_status(self, repository: Repository, job: Job) -> None:
        repository.add(make_job())
        run = claim(repository, job)

        page = repository.list(status=JobStatus.RUNNING)

        assert [listed.id for listed in page.jobs] == [run.id]

    def test_a_list_can_be_of_one_owner(self, repository: Repository, job: Job) -> None:
        mine, theirs = make_job(owner=new_id()), make_job(owner=new_id())
        for owned in (mine, theirs):
            repository.add(owned)

        assert [found.id for found in repository.list(owner=mine.owner).jobs] == [mine.id]
        assert [found.id for found in repository.list().jobs] == [theirs.id, mine.id, job.id]

    def test_queue_position_counts_older_jobs_of_the_same_queue(self, repository: Repository) -> None:
        first, other_lane, other_device, last = (
            make_job(),
            make_job(lane=Lane.BULK),
            make_job(device=Device.GPU),
            make_job(),
        )
        for job in (first, other_lane, other_device, last):
            repository.add(job)

        assert repository.queue_position(first) == 0
        assert repository.queue_position(last) == 1
        assert repository.queue_position(other_lane) == 0

        claim(repository, first)

        assert repository.queue_position(last) == 0
        assert repository.queue_position(repository.get(first.id)) == 0

    def test_claim_starts_an_attempt_under_a_lease(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job, at_s=5)

        assert run.status is JobStatus.RUNNING
        assert run.attempt == 1
        assert run.lease_token
        assert run.started_at == after(5)
        assert run.lease_expires_at == after(5 + LEASE_S)
        assert run.progress == Progress(duration_s=10.0)
        assert repository.get(job.id) == run

    def test_a_live_lease_keeps_others_out(self, repository: Repository, job: Job) -> None:
        claim(repository, job)

        assert repository.claim(job.id, worker="other", lease_s=LEASE_S, now=after(LEASE_S - 1)) is None

    def test_an_expired_lease_is_taken_over_and_the_old_run_is_fenced_off(
        self, repository: Repository, job: Job
    ) -> None:
        old = claim(repository, job)

        new = claim(repository, job, at_s=LEASE_S + 1)

        assert new.attempt == 2
        assert new.started_at == old.started_at
        assert new.lease_token != old.lease_token
        token, now = token_of(old), after(LEASE_S + 2)
        writes: list[Callable[[], Any]] = [
            lambda: repository.extend_lease(job.id, lease_token=token, lease_s=LEASE_S, now=now),
            lambda: repository.report_progress(
                job.id, lease_token=token, stage=Stage.ENHANCE, progress=Progress(fraction=0.5)
            ),
            lambda: repository.record_input(job.id, lease_token=token, input_file=job.input),
            lambda: repository.record_reference(job.id, lease_token=token, reference=job.input),
            lambda: succeed(repository, old),
            lambda: repository.fail(job.id, lease_token=token, error=FAULT, now=now),
            lambda: repository.confirm_cancelled(job.id, lease_token=token, now=now),
            lambda: repository.release(job.id, lease_token=token, now=now, counts_as_attempt=True),
        ]
        for write in writes:
            with pytest.raises(LeaseLost):
                write()
        assert repository.get(job.id) == new

    def test_a_heartbeat_extends_the_lease(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)

        status = repository.extend_lease(job.id, lease_token=token_of(run), lease_s=LEASE_S, now=after(30))

        assert status is JobStatus.RUNNING
        assert repository.get(job.id).lease_expires_at == after(30 + LEASE_S)
        assert repository.claim(job.id, worker="other", lease_s=LEASE_S, now=after(LEASE_S + 1)) is None

    def test_progress_is_stored_and_never_decreases(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)
        half = Progress(fraction=0.5, processed_s=5.0, duration_s=10.0, eta_s=1.5, rtf=0.3)

        status = repository.report_progress(job.id, lease_token=token_of(run), stage=Stage.ENHANCE, progress=half)
        repository.report_progress(
            job.id, lease_token=token_of(run), stage=Stage.PREPARE, progress=Progress(fraction=0.2)
        )

        assert status is JobStatus.RUNNING
        assert repository.get(job.id).progress == half
        assert repository.get(job.id).stage is Stage.ENHANCE

    def test_a_new_attempt_starts_from_nothing(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)
        repository.report_progress(
            job.id, lease_token=token_of(run), stage=Stage.ENHANCE, progress=Progress(fraction=0.5)
        )

        again = claim(repository, job, at_s=LEASE_S + 1)

        assert again.progress == Progress(duration_s=10.0)
        assert again.stage is None

    def test_an_input_by_url_is_known_once_it_is_fetched(self, repository: Repository) -> None:
        job = make_job()
        elsewhere = InputFile(
            name="talk.wav",
            key=job.input.key,
            bytes=0,
            sha256="",
            media_type="application/octet-stream",
            url="https://example.com/talk.wav",
        )
        repository.add(replace(job, input=elsewhere))
        run = claim(repository, job)
        fetched = replace(job.input, url=elsewhere.url)

        repository.record_input(job.id, lease_token=token_of(run), input_file=fetched)

        assert not run.input.is_stored
        stored = repository.get(job.id)
        assert stored.input == fetched
        assert stored.input.is_stored
        assert stored.progress == Progress(duration_s=10.0)

    def test_a_reference_is_kept_with_its_job_and_known_once_it_is_fetched(self, repository: Repository) -> None:
        job = make_job()
        fetched = replace(job.input, name="clean.wav", key=f"jobs/{job.id}/reference", url="https://example.com/c.wav")
        job = replace(job, reference=replace(fetched, bytes=0, sha256="", duration_s=None))
        repository.add(job)
        run = claim(repository, job)

        repository.record_reference(job.id, lease_token=token_of(run), reference=fetched)

        assert run.reference == job.reference
        assert repository.get(job.id).reference == fetched

    def test_success_commits_outputs_in_order(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)
        outputs = (make_output("b.wav"), make_output("a.wav", role="residual", bytes=5 * 2**32))
        done = Progress(fraction=1.0, processed_s=10.0, duration_s=10.0, eta_s=0.0, rtf=0.1)

        succeed(repository, run, at_s=9, outputs=outputs, warnings=["quiet"], progress=done)

        ended = repository.get(job.id)
        assert ended.status is JobStatus.SUCCEEDED
        assert ended.outputs == outputs
        assert ended.report == {"rtf": 0.1}
        assert ended.warnings == ("quiet",)
        assert ended.progress == done
        assert ended.stage is Stage.FINISH
        assert ended.finished_at == after(9)
        assert ended.expires_at == after(86_400)
        assert ended.lease_expires_at is None

    def test_failure_stores_the_problem(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)

        repository.fail(job.id, lease_token=token_of(run), error=FAULT, now=after(3))

        ended = repository.get(job.id)
        assert ended.status is JobStatus.FAILED
        assert ended.error == FAULT
        assert ended.finished_at == after(3)

    def test_ending_twice_by_the_same_run_changes_nothing(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)

        succeed(repository, run, at_s=1)
        succeed(repository, run, at_s=2)

        ended = repository.get(job.id)
        assert len(ended.outputs) == 1
        assert ended.finished_at == after(1)
        with pytest.raises(LeaseLost):
            repository.fail(job.id, lease_token=token_of(run), error=FAULT, now=after(3))

    def test_an_ended_job_is_not_claimed(self, repository: Repository, job: Job) -> None:
        succeed(repository, claim(repository, job))

        assert repository.claim(job.id, worker="w", lease_s=LEASE_S, now=after(10 * LEASE_S)) is None

    def test_cancelling_a_queued_job_ends_it(self, repository: Repository, job: Job) -> None:
        cancelled = repository.request_cancel(job.id, now=after(2))

        assert cancelled.status is JobStatus.CANCELLED
        assert cancelled.finished_at == after(2)
        assert repository.claim(job.id, worker="w", lease_s=LEASE_S, now=after(3)) is None

    def test_cancelling_a_running_job_waits_for_its_worker(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)

        assert repository.request_cancel(job.id, now=after(1)).status is JobStatus.CANCELLING
        assert repository.request_cancel(job.id, now=after(2)).status is JobStatus.CANCELLING
        status = repository.extend_lease(job.id, lease_token=token_of(run), lease_s=LEASE_S, now=after(3))
        assert status is JobStatus.CANCELLING
        repository.confirm_cancelled(job.id, lease_token=token_of(run), now=after(4))

        assert repository.get(job.id).status is JobStatus.CANCELLED
        assert repository.get(job.id).finished_at == after(4)

    def test_a_run_that_was_asked_to_stop_cannot_end_otherwise(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)
        repository.request_cancel(job.id, now=after(1))

        with pytest.raises(JobCancelled):
            succeed(repository, run)
        with pytest.raises(JobCancelled):
            repository.fail(job.id, lease_token=token_of(run), error=FAULT, now=after(2))
        with pytest.raises(JobCancelled):
            repository.release(job.id, lease_token=token_of(run), now=after(2), counts_as_attempt=False)
        assert repository.get(job.id).outputs == ()

    def test_cancelling_an_ended_job_is_a_conflict(self, repository: Repository, job: Job) -> None:
        succeed(repository, claim(repository, job))

        with pytest.raises(Conflict, match="succeeded"):
            repository.request_cancel(job.id, now=after(5))

    def test_nobody_confirms_a_cancel_that_was_not_asked_for(self, repository: Repository, job: Job) -> None:
        run = claim(repository, job)

        with pytest.raises(Conflict):
            repository.confirm_cancelled(job.id, lease_token=token_of(run), now=after(1))
