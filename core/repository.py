"""The JobRepository port: every change of a job's state is one compare-and-set here.

The SQLAlchemy adapter is core.repository_sql. A write that names a `lease_token` raises LeaseLost when the token is no
longer the row's: the run that holds it must stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from core.errors import NotFound
from core.jobs import Device, InputFile, Job, JobStatus, Lane, OutputFile, Problem, Progress, Stage


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """Some jobs, newest first, and the cursor that continues after them (None at the end)."""

    jobs: Sequence[Job]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """What a sweep found to do: messages to send, and runs that it ended, whose partial outputs may be deleted."""

    to_send: Sequence[Job]
    ended: Sequence[Job]


class JobRepository(Protocol):
    """Jobs in the database, for clients: what services and the API need."""

    def add(self, job: Job) -> None:
        """Store a new job; LimitReached when its API key uses all that it may."""
        ...

    def get(self, job_id: str) -> Job:
        """The job, or its tombstone (`deleted_at`); NotFound when there never was one."""
        ...

    def list(
        self,
        *,
        owner: str | None = None,
        status: JobStatus | None = None,
        batch_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """The page of jobs after `cursor` (a JobPage's), newest first, without tombstones; `owner` None: everyone's."""
        ...

    def list_results_of(self, sha256: str, *, size_bytes: int, owner: str | None, now: datetime) -> Sequence[Job]:
        """The owner's jobs that succeeded on these very bytes and still have their files, newest first."""
        ...

    def queue_position(self, job: Job) -> int:
        """Jobs ahead of a queued one, by the order of core.turns; 0 when it is next or no longer queued."""
        ...

    def mark_sent(self, job_id: str, *, now: datetime) -> None:
        """Note that the broker has the message."""
        ...

    def request_cancel(self, job_id: str, *, now: datetime) -> Job:
        """queued -> cancelled, running -> cancelling; a terminal job raises Conflict, a cancelling one is returned."""
        ...

    def check(self) -> None:
        """Raise StorageError when the database does not answer."""
        ...


class RetentionRepository(Protocol):
    """Jobs in the database, for what ends their keeping (core.retention)."""

    def delete(self, job_id: str, *, now: datetime) -> None:
        """Make an ended job a tombstone whose files have expired; Conflict when it has not ended.

        A tombstone keeps what happened when, and nothing of the recording or the client's own data.
        """
        ...

    def list_expired(self, *, now: datetime, limit: int = 200) -> Sequence[str]:
        """Ids of ended jobs whose files are due to be removed and are not, the longest due first."""
        ...

    def mark_purged(self, job_id: str, *, now: datetime) -> None:
        """Note that the job's files are removed."""
        ...


class RunRepository(Protocol):
    """Jobs in the database, for workers: claim, heartbeat, progress and the end of a run."""

    def claim(self, job_id: str, *, worker: str, lease_s: float, now: datetime) -> Job | None:
        """A job -> running, attempt + 1, a fresh lease token: the answer to the message that names `job_id`.

        That is `job_id` itself when it runs under an expired lease and has attempts left; else the job whose turn it is
        (core.turns) in the queue of `job_id`, which need not wait any more itself. None when no job there may run.
        """
        ...

    def extend_lease(self, job_id: str, *, lease_token: str, lease_s: float, now: datetime) -> JobStatus:
        """Heartbeat; returns the status, so that the run learns of `cancelling`."""
        ...

    def report_progress(self, job_id: str, *, lease_token: str, stage: Stage, progress: Progress) -> JobStatus: ...

    def record_input(self, job_id: str, *, lease_token: str, input_file: InputFile) -> None:
        """Note what a worker has fetched and stored of an input by URL."""
        ...

    def record_reference(self, job_id: str, *, lease_token: str, reference: InputFile) -> None:
        """Note what a worker has fetched and stored of a reference by URL."""
        ...

    def succeed(
        self,
        job_id: str,
        *,
        lease_token: str,
        outputs: Sequence[OutputFile],
        report: Mapping[str, Any],
        warnings: Sequence[str],
        progress: Progress,
        now: datetime,
        expires_at: datetime,
    ) -> None:
        """running -> succeeded with its outputs, in one commit; JobCancelled when the job is `cancelling`."""
        ...

    def fail(self, job_id: str, *, lease_token: str, error: Problem, now: datetime) -> None:
        """running -> failed; JobCancelled when the job is `cancelling`."""
        ...

    def confirm_cancelled(self, job_id: str, *, lease_token: str, now: datetime) -> None:
        """cancelling -> cancelled."""
        ...

    def release(
        self, job_id: str, *, lease_token: str, now: datetime, counts_as_attempt: bool, retry_after_s: float = 0.0
    ) -> None:
        """running -> queued (a shutdown or a transient fault): the sweeper sends it after `retry_after_s`."""
        ...

    def make_due(self, device: Device, lane: Lane, *, now: datetime, limit: int = 500) -> int:
        """Let the next sweep send the messages of the oldest jobs that wait in this queue and may run; how many."""
        ...

    def sweep(self, *, now: datetime, limit: int = 500) -> SweepResult:
        """Heal what a crash left, and return the queued jobs whose message is due (core.run_policy), oldest first.

        An expired lease: running -> queued, or -> failed with code `worker_lost` when attempts are used up;
        cancelling -> cancelled. The caller notes each message that the broker took by `mark_sent`.
        """
        ...

    def mark_sent(self, job_id: str, *, now: datetime) -> None:
        """Note that the broker has the message."""
        ...


def has_job(job_id: str, *, jobs: JobRepository) -> bool:
    """True when there is, or was, a job of this id, whosever."""
    try:
        jobs.get(job_id)
    except NotFound:
        return False
    return True
