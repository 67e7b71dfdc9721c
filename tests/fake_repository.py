"""The repository of jobs, in memory; obeys the same contract as the real ones."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from core.errors import Conflict, JobCancelled, LeaseLost, NotFound, StorageError
from core.jobs import Device, InputFile, Job, JobStatus, Lane, OutputFile, Problem, Progress, Stage
from core.repository import JobPage, SweepResult
from core.run_policy import SEND_GRACE_S, WORKER_LOST, is_out_of_attempts, limited_delay_s, resend_delay_s
from core.turns import Turn, next_turn

HELD = (JobStatus.RUNNING, JobStatus.CANCELLING)


@dataclass
class _Row:
    job: Job
    send_due_at: datetime
    sends: int = 0


class FakeJobRepository:
    """JobRepository and RunRepository in a dictionary, safe to share between threads."""

    def __init__(
        self,
        *,
        max_attempts: int = 3,
        resend_after_s: float = 30.0,
        retention_s: float = 7 * 86400.0,
        key_max_running: int | None = None,
    ) -> None:
        self._key_max_running = key_max_running
        self._rows: dict[str, _Row] = {}
        self._lock = threading.RLock()
        self._max_attempts = max_attempts
        self._resend_after_s = resend_after_s
        self._retention = timedelta(seconds=retention_s)
        self.is_down = False

    def add(self, job: Job) -> None:
        with self._lock:
            self.check()
            self._rows[job.id] = _Row(job=job, send_due_at=job.created_at + timedelta(seconds=SEND_GRACE_S))

    def get(self, job_id: str) -> Job:
        with self._lock:
            return self._row(job_id).job

    def list(
        self,
        *,
        owner: str | None = None,
        status: JobStatus | None = None,
        batch_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        with self._lock:
            self.check()
            jobs = [
                self._rows[job_id].job
                for job_id in sorted(self._rows, reverse=True)
                if (cursor is None or job_id < cursor) and (status is None or self._rows[job_id].job.status is status)
            ]
            jobs = [job for job in jobs if job.deleted_at is None and owner in (None, job.owner)]
            jobs = [job for job in jobs if batch_id is None or (job.batch and job.batch.id == batch_id)]
        page = jobs[:limit]
        return JobPage(jobs=page, next_cursor=page[-1].id if len(jobs) > limit else None)

    def all_of(self, owner: str) -> Sequence[Job]:
        """Every job of an API key, tombstones too."""
        with self._lock:
            self.check()
            return [row.job for row in self._rows.values() if row.job.owner == owner]

    def every(self) -> Sequence[Job]:
        """All jobs, tombstones too, the oldest first (for the fakes of what looks at jobs)."""
        with self._lock:
            self.check()
            return [self._rows[job_id].job for job_id in sorted(self._rows)]

    def list_results_of(self, sha256: str, *, size_bytes: int, owner: str | None, now: datetime) -> Sequence[Job]:
        with self._lock:
            self.check()
            jobs = [self._rows[job_id].job for job_id in sorted(self._rows, reverse=True)]
        return [
            job
            for job in jobs
            if (job.input.sha256, job.input.bytes, job.owner) == (sha256, size_bytes, owner)
            and job.status is JobStatus.SUCCEEDED
            and job.purged_at is None
            and job.expires_at is not None
            and job.expires_at > now
        ]

    def queue_position(self, job: Job) -> int:
        with self._lock:
            if self._row(job.id).job.status is not JobStatus.QUEUED:
                return 0
            rounds: dict[str, int] = {}
            latest: dict[str | None, int] = {}
            for other in self._in_queue_of(job, JobStatus.QUEUED):
                running = sum(held.owner == other.owner for held in self._in_queue_of(job, *HELD))
                latest[other.owner] = latest.get(other.owner, running) + 1
                rounds[other.id] = latest[other.owner]
            return sum((turn, job_id) < (rounds[job.id], job.id) for job_id, turn in rounds.items())

    def mark_sent(self, job_id: str, *, now: datetime) -> None:
        with self._lock:
            row = self._row(job_id)
            row.sends += 1
            row.send_due_at = now + timedelta(seconds=resend_delay_s(row.sends, base_s=self._resend_after_s))

    def request_cancel(self, job_id: str, *, now: datetime) -> Job:
        with self._lock:
            row = self._row(job_id)
            if row.job.status is JobStatus.QUEUED:
                row.job = self._ended(row.job, JobStatus.CANCELLED, now)
            elif row.job.status is JobStatus.RUNNING:
                row.job = replace(row.job, status=JobStatus.CANCELLING)
            elif row.job.status.is_terminal:
                raise Conflict(f"The job has already ended: {row.job.status}.")
            return row.job

    def delete(self, job_id: str, *, now: datetime) -> None:
        with self._lock:
            row = self._row(job_id)
            if not row.job.status.is_terminal:
                raise Conflict(f"The job is {row.job.status}. Cancel it first.")
            if row.job.deleted_at is None:
                row.job = replace(
                    row.job,
                    deleted_at=now,
                    expires_at=now,
                    input=replace(row.job.input, name=""),
                    reference=None,
                    metadata={},
                    outputs=(),
                    report=None,
                    warnings=(),
                    error=row.job.error and replace(row.job.error, detail=""),
                )

    def list_expired(self, *, now: datetime, limit: int = 200) -> Sequence[str]:
        with self._lock:
            self.check()
            ended = [row.job for row in self._rows.values() if row.job.expires_at and row.job.purged_at is None]
            due = sorted((job.expires_at, job.id) for job in ended if job.expires_at and job.expires_at <= now)
        return [job_id for _, job_id in due[:limit]]

    def mark_purged(self, job_id: str, *, now: datetime) -> None:
        with self._lock:
            row = self._row(job_id)
            row.job = replace(row.job, purged_at=row.job.purged_at or now)

    def check(self) -> None:
        if self.is_down:
            raise StorageError("The database did not answer.")

    def claim(self, job_id: str, *, worker: str, lease_s: float, now: datetime) -> Job | None:
        with self._lock:
            self.check()
            row = self._rows.get(job_id)
            if row is not None and not self._is_lost(row, now):
                row = self._next_turn(row, now)
            if row is None:
                return None
            row.job = replace(
                row.job,
                status=JobStatus.RUNNING,
                stage=None,
                attempt=row.job.attempt + 1,
                progress=Progress(duration_s=row.job.input.duration_s),
                started_at=row.job.started_at or now,
                lease_token=uuid4().hex,
                lease_expires_at=now + timedelta(seconds=lease_s),
            )
            return row.job

    def extend_lease(self, job_id: str, *, lease_token: str, lease_s: float, now: datetime) -> JobStatus:
        with self._lock:
            row = self._held(job_id, lease_token)
            row.job = replace(row.job, lease_expires_at=now + timedelta(seconds=lease_s))
            return row.job.status

    def report_progress(self, job_id: str, *, lease_token: str, stage: Stage, progress: Progress) -> JobStatus:
        with self._lock:
            row = self._held(job_id, lease_token)
            if progress.fraction >= row.job.progress.fraction:
                row.job = replace(row.job, stage=stage, progress=progress)
            return row.job.status

    def record_input(self, job_id: str, *, lease_token: str, input_file: InputFile) -> None:
        with self._lock:
            row = self._held(job_id, lease_token)
            progress = replace(row.job.progress, duration_s=input_file.duration_s)
            row.job = replace(row.job, input=input_file, progress=progress)

    def record_reference(self, job_id: str, *, lease_token: str, reference: InputFile) -> None:
        with self._lock:
            row = self._held(job_id, lease_token)
            row.job = replace(row.job, reference=reference)

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
        with self._lock:
            if self._has_ended_so(job_id, lease_token, JobStatus.SUCCEEDED):
                return
            row = self._running(job_id, lease_token)
            row.job = replace(
                self._ended(row.job, JobStatus.SUCCEEDED, now),
                stage=Stage.FINISH,
                outputs=tuple(outputs),
                report=report,
                warnings=tuple(warnings),
                progress=progress,
                expires_at=expires_at,
            )

    def fail(self, job_id: str, *, lease_token: str, error: Problem, now: datetime) -> None:
        with self._lock:
            if self._has_ended_so(job_id, lease_token, JobStatus.FAILED):
                return
            row = self._running(job_id, lease_token)
            row.job = replace(self._ended(row.job, JobStatus.FAILED, now), error=error)

    def confirm_cancelled(self, job_id: str, *, lease_token: str, now: datetime) -> None:
        with self._lock:
            if self._has_ended_so(job_id, lease_token, JobStatus.CANCELLED):
                return
            row = self._held(job_id, lease_token)
            if row.job.status is not JobStatus.CANCELLING:
                raise Conflict("The job was not asked to stop.")
            row.job = self._ended(row.job, JobStatus.CANCELLED, now)

    def release(
        self, job_id: str, *, lease_token: str, now: datetime, counts_as_attempt: bool, retry_after_s: float = 0.0
    ) -> None:
        with self._lock:
            row = self._running(job_id, lease_token)
            uncounted = row.job.uncounted_attempts + (0 if counts_as_attempt else 1)
            row.job = replace(row.job, uncounted_attempts=uncounted)
            self._requeue(row, due_at=now + timedelta(seconds=retry_after_s))

    def make_due(self, device: Device, lane: Lane, *, now: datetime, limit: int = 500) -> int:
        with self._lock:
            jobs = [self._rows[job_id].job for job_id in sorted(self._rows)]
            here = [job for job in jobs if (job.device, job.lane, job.status) == (device, lane, JobStatus.QUEUED)]
            due = [job for job in here if not self._is_put_off(job, now)][:limit]
            for job in due:
                self._rows[job.id].send_due_at = now
            return len(due)

    def sweep(self, *, now: datetime, limit: int = 500) -> SweepResult:
        with self._lock:
            self.check()
            ended = []
            for row in self._rows.values():
                if row.job.status in HELD and row.job.lease_expires_at is not None and row.job.lease_expires_at <= now:
                    if row.job.status is JobStatus.CANCELLING:
                        row.job = self._ended(row.job, JobStatus.CANCELLED, now)
                    elif self._is_out_of_attempts(row):
                        row.job = replace(self._ended(row.job, JobStatus.FAILED, now), error=WORKER_LOST)
                    else:
                        self._requeue(row, due_at=now)
                    if row.job.status.is_terminal:
                        ended.append(row.job)
            due = [row for row in self._rows.values() if row.job.status is JobStatus.QUEUED and row.send_due_at <= now]
            due.sort(key=lambda row: row.send_due_at)
            return SweepResult(to_send=[row.job for row in due[:limit]], ended=ended)

    def _row(self, job_id: str) -> _Row:
        self.check()
        try:
            return self._rows[job_id]
        except KeyError:
            raise NotFound("There is no such job.") from None

    def _held(self, job_id: str, lease_token: str) -> _Row:
        self.check()
        row = self._rows.get(job_id)
        if row is None or row.job.lease_token != lease_token or row.job.status not in HELD:
            raise LeaseLost("Another worker has taken this job.")
        return row

    def _running(self, job_id: str, lease_token: str) -> _Row:
        row = self._held(job_id, lease_token)
        if row.job.status is JobStatus.CANCELLING:
            raise JobCancelled("The job was cancelled.")
        return row

    def _has_ended_so(self, job_id: str, lease_token: str, status: JobStatus) -> bool:
        """True when an earlier call of the same run, whose answer was lost, has ended the job like this."""
        self.check()
        row = self._rows.get(job_id)
        return row is not None and (row.job.status, row.job.lease_token) == (status, lease_token)

    def _is_out_of_attempts(self, row: _Row) -> bool:
        return is_out_of_attempts(row.job, max_attempts=self._max_attempts)

    def _in_queue_of(self, job: Job, *statuses: JobStatus) -> builtins.list[Job]:
        """The jobs of the same device and lane, the oldest first."""
        found = [row.job for row in self._rows.values() if row.job.status in statuses]
        return sorted(
            (one for one in found if (one.device, one.lane) == (job.device, job.lane)), key=lambda one: one.id
        )

    def _next_turn(self, row: _Row, now: datetime) -> _Row | None:
        waiting = [job for job in self._in_queue_of(row.job, JobStatus.QUEUED) if not self._is_put_off(job, now)]
        held = [other.job for other in self._rows.values() if other.job.status in HELD]
        begun = [job for job in self._in_queue_of(row.job, *JobStatus) if job.started_at is not None]
        turns = []
        for owner in {job.owner for job in waiting}:
            head = next(job for job in waiting if job.owner == owner)
            turns.append(
                Turn(
                    job_id=head.id,
                    owner=owner,
                    running=sum(job.owner == owner for job in held),
                    running_here=sum(
                        job.owner == owner and (job.device, job.lane) == (head.device, head.lane) for job in held
                    ),
                    last_started_at=max(
                        (
                            job.started_at
                            for job in begun
                            if job.owner == owner and job.id <= head.id and job.started_at
                        ),
                        default=None,
                    ),
                )
            )
        turn = next_turn(turns, key_max_running=self._key_max_running)
        if turn is not None:
            return self._rows[turn.job_id]
        if waiting:
            later = row if row.job in waiting else self._rows[waiting[0].id]
            ahead = [
                other.job
                for other in self._rows.values()
                if other.job.owner == later.job.owner and other.job.id < later.job.id
            ]
            delay_s = limited_delay_s(sum(job.status is JobStatus.QUEUED for job in ahead))
            later.sends, later.send_due_at = 0, now + timedelta(seconds=delay_s)
        return None

    def _is_put_off(self, job: Job, now: datetime) -> bool:
        row = self._rows[job.id]
        return job.attempt > 0 and row.sends == 0 and row.send_due_at > now

    def _is_lost(self, row: _Row, now: datetime) -> bool:
        has_expired = row.job.lease_expires_at is not None and row.job.lease_expires_at <= now
        return row.job.status is JobStatus.RUNNING and has_expired and not self._is_out_of_attempts(row)

    def _ended(self, job: Job, status: JobStatus, now: datetime) -> Job:
        return replace(job, status=status, finished_at=now, lease_expires_at=None, expires_at=now + self._retention)

    @staticmethod
    def _requeue(row: _Row, *, due_at: datetime) -> None:
        row.job = replace(row.job, status=JobStatus.QUEUED, stage=None, lease_token=None, lease_expires_at=None)
        row.sends = 0
        row.send_due_at = due_at
