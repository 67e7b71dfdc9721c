"""JobRepository, RunRepository and RetentionRepository on SQLAlchemy: SQLite and Postgres.

Every change of state is one UPDATE whose WHERE names the state (and the lease) that it starts from; the row count says
whether it took place. Nothing is read first and written later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Engine, delete, func, select, tuple_, update
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from core.access.limits import NO_LIMITS, Limits, check_limits
from core.access.usage_sql import hold_key, usage_of
from core.batches.ending_sql import announce_ended
from core.database import check_database, read_session, write_session
from core.errors import Conflict, InvalidInput
from core.ids import is_id
from core.job_changes import NO_SYNC, announce_end, held_status, load_job, refuse_write, update_job
from core.job_conditions import has_expired, holds, is_in_queue, is_put_off, is_queued
from core.job_rows import (
    claimed_columns,
    error_columns,
    input_columns,
    job_of,
    output_rows,
    progress_columns,
    reference_columns,
    requeued_columns,
    row_of,
    tombstone_columns,
)
from core.jobs import Device, InputFile, Job, JobStatus, Lane, OutputFile, Problem, Progress, Stage
from core.repository import JobPage, SweepResult
from core.run_policy import WORKER_LOST, resend_delay_s
from core.tables import JobRow, OutputRow
from core.turns_sql import next_in_queue_of, position_in_queue
from core.webhooks.outbox_sql import add_job_event, delete_job_events

DEFAULT_MAX_ATTEMPTS = 3
DEFAULT_RESEND_AFTER_S = 30.0
DEFAULT_RETENTION_S = 7 * 86400.0
AFTER_ANY_ID = "g"  # ids are hexadecimal
MAX_RESULTS = 20  # of one recording, that a duplicate is looked for among


class SqlJobRepository:
    """Jobs in a database. Share one per process; it may be used from many threads.

    `max_attempts` runs are begun before a job that loses its worker each time fails; `resend_after_s` is the first
    delay of core.run_policy.resend_delay_s; the files of a job that ends without outputs are kept for `retention_s`;
    `key_max_running` jobs of one API key run at a time (one or two more when workers claim at the same moment);
    `key_limits` say how many more it may submit. With `has_server_clock` (Postgres) leases begin and end by the
    database server's clock, and not by the `now` of the machines that hold them, whose clocks may differ or jump.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        resend_after_s: float = DEFAULT_RESEND_AFTER_S,
        retention_s: float = DEFAULT_RETENTION_S,
        key_max_running: int | None = None,
        key_limits: Limits = NO_LIMITS,
        has_server_clock: bool = False,
    ) -> None:
        self._engine = engine
        self._has_server_clock = has_server_clock
        self._key_limits = key_limits
        self._key_max_running = key_max_running
        self._retention = timedelta(seconds=retention_s)
        self._max_attempts = max_attempts
        self._resend_after_s = resend_after_s

    def add(self, job: Job) -> None:
        """Store a new job; InvalidInput when a text in it is one that the database cannot hold.

        LimitReached when its API key uses all that it may, however many requests of it come at once.
        """
        try:
            with write_session(self._engine) as session:
                self._check_limits(session, job)
                session.add(row_of(job))
        except DataError as error:
            raise InvalidInput("The options or metadata hold text that cannot be stored, such as \\u0000.") from error

    def get(self, job_id: str) -> Job:
        """The job or its tombstone; NotFound when there is none of this id."""
        with read_session(self._engine) as session:
            return load_job(session, job_id)

    def list(
        self,
        *,
        owner: str | None = None,
        status: JobStatus | None = None,
        batch_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """A page of at most `limit` jobs, newest first; InvalidInput for a cursor that no page gave."""
        query = select(JobRow).where(JobRow.deleted_at.is_(None)).limit(limit + 1)
        if owner is not None:
            query = query.where(JobRow.owner == owner)
        if status is not None:
            # Rows are compared: told that `status = ...`, Postgres may walk from the newest job through all of other
            # states, thousands in a long queue, instead of the index of (status, id).
            place = tuple_(JobRow.status, JobRow.id)
            query = query.where(place > (status.value, ""), place < (status.value, cursor or AFTER_ANY_ID))
            query = query.order_by(JobRow.status.desc())
        if batch_id is not None:
            query = query.where(JobRow.batch_id == batch_id)
        if cursor is not None:
            if not is_id(cursor):
                raise InvalidInput("The cursor is not one that a page of jobs gave.")
            query = query.where(JobRow.id < cursor)
        query = query.order_by(JobRow.id.desc())
        with read_session(self._engine) as session:
            jobs = [job_of(row) for row in session.scalars(query)]
        page = jobs[:limit]
        return JobPage(jobs=page, next_cursor=page[-1].id if len(jobs) > limit else None)

    def list_results_of(self, sha256: str, *, size_bytes: int, owner: str | None, now: datetime) -> Sequence[Job]:
        """The owner's jobs that succeeded on these very bytes and still have their files, newest first."""
        query = select(JobRow).where(
            JobRow.input_sha256 == sha256,
            JobRow.input_bytes == size_bytes,
            JobRow.owner == owner if owner is not None else JobRow.owner.is_(None),
            JobRow.status == JobStatus.SUCCEEDED.value,
            JobRow.purged_at.is_(None),
            JobRow.expires_at > now,
        )
        with read_session(self._engine) as session:
            return [job_of(row) for row in session.scalars(query.order_by(JobRow.id.desc()).limit(MAX_RESULTS))]

    def queue_position(self, job: Job) -> int:
        """Queued jobs of the same device and lane that are to run before this one (core.turns_sql)."""
        if job.status is not JobStatus.QUEUED:
            return 0
        with read_session(self._engine) as session:
            return position_in_queue(session, job)

    def mark_sent(self, job_id: str, *, now: datetime) -> None:
        """Note that the broker has the message; does nothing when the job no longer waits."""
        with write_session(self._engine) as session:
            sends = session.scalar(select(JobRow.sends).where(JobRow.id == job_id, is_queued()).with_for_update())
            if sends is not None:
                due_at = now + timedelta(seconds=resend_delay_s(sends + 1, base_s=self._resend_after_s))
                update_job(session, job_id, sends=sends + 1, sent_at=now, send_due_at=due_at)

    def request_cancel(self, job_id: str, *, now: datetime) -> Job:
        """queued -> cancelled, running -> cancelling; Conflict when the job has ended."""
        with write_session(self._engine) as session:
            # The lock keeps a release (running -> queued) from slipping between the two cases.
            status = load_job(session, job_id, for_update=True).status
            if status.is_terminal:
                raise Conflict(f"The job has already ended: {status}.")
            if status is JobStatus.QUEUED:
                update_job(session, job_id, **self._ended_columns(JobStatus.CANCELLED, now))
                announce_end(session, job_id, now)
            elif status is JobStatus.RUNNING:
                update_job(session, job_id, status=JobStatus.CANCELLING.value)
            return load_job(session, job_id)

    def delete(self, job_id: str, *, now: datetime) -> None:
        """Ended -> tombstone; Conflict when the job has not ended. Deleting a tombstone changes nothing."""
        with write_session(self._engine) as session:
            job = load_job(session, job_id, for_update=True)
            if not job.status.is_terminal:
                raise Conflict(f"The job is {job.status}. Cancel it first.")
            if job.deleted_at is None:
                session.execute(delete(OutputRow).where(OutputRow.job_id == job_id), execution_options=NO_SYNC)
                delete_job_events(session, job_id)
                update_job(session, job_id, **tombstone_columns(now))

    def list_expired(self, *, now: datetime, limit: int = 200) -> Sequence[str]:
        """Ids of jobs whose files are due to be removed and are not, the longest due first."""
        query = select(JobRow.id).where(JobRow.expires_at <= now, JobRow.purged_at.is_(None))
        with read_session(self._engine) as session:
            return session.scalars(query.order_by(JobRow.expires_at).limit(limit)).all()

    def mark_purged(self, job_id: str, *, now: datetime) -> None:
        """Note that the job's files are removed."""
        with write_session(self._engine) as session:
            update_job(session, job_id, JobRow.purged_at.is_(None), purged_at=now)

    def check(self) -> None:
        """Raise StorageError when the database does not answer."""
        check_database(self._engine)

    def close(self) -> None:
        """Close the connections to the database; those that are in use close when they are given back."""
        self._engine.dispose()

    def claim(self, job_id: str, *, worker: str, lease_s: float, now: datetime) -> Job | None:
        """The job whose turn it is in the queue of `job_id`, or `job_id` itself when its worker is lost -> running."""
        if not is_id(job_id):
            return None
        with write_session(self._engine) as session:
            now = self._lease_time(session, now)
            columns = claimed_columns(worker=worker, lease_s=lease_s, now=now)
            if update_job(session, job_id, has_expired(now, JobStatus.RUNNING), ~self._is_out_of_attempts(), **columns):
                return load_job(session, job_id)
            # Whoever is faster takes the turn; then there is another, or none.
            while next_id := next_in_queue_of(session, job_id, key_max_running=self._key_max_running, now=now):
                if update_job(session, next_id, is_queued(), **columns):
                    return load_job(session, next_id)
        return None

    def extend_lease(self, job_id: str, *, lease_token: str, lease_s: float, now: datetime) -> JobStatus:
        """Heartbeat; the job's status."""
        with write_session(self._engine) as session:
            now = self._lease_time(session, now)
            status = update_job(session, job_id, holds(lease_token), lease_expires_at=now + timedelta(seconds=lease_s))
            return status or refuse_write(session, job_id, lease_token)

    def report_progress(self, job_id: str, *, lease_token: str, stage: Stage, progress: Progress) -> JobStatus:
        """Store how far the run is, unless that is less than what is stored; the job's status."""
        is_further = JobRow.progress_fraction <= progress.fraction
        columns = {"stage": stage.value, **progress_columns(progress)}
        with write_session(self._engine) as session:
            status = update_job(session, job_id, holds(lease_token), is_further, **columns)
            return status or held_status(session, job_id, lease_token) or refuse_write(session, job_id, lease_token)

    def record_input(self, job_id: str, *, lease_token: str, input_file: InputFile) -> None:
        """Note what has been fetched."""
        columns = {**input_columns(input_file), "progress_duration_s": input_file.duration_s}
        with write_session(self._engine) as session:
            if update_job(session, job_id, holds(lease_token), **columns) is None:
                refuse_write(session, job_id, lease_token)

    def record_reference(self, job_id: str, *, lease_token: str, reference: InputFile) -> None:
        """Note what has been fetched."""
        with write_session(self._engine) as session:
            if update_job(session, job_id, holds(lease_token), **reference_columns(reference)) is None:
                refuse_write(session, job_id, lease_token)

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
        """running -> succeeded with its outputs, in one commit."""
        with write_session(self._engine) as session:
            ended = self._end(
                session,
                job_id,
                lease_token,
                JobStatus.SUCCEEDED,
                now,
                stage=Stage.FINISH.value,
                report=dict(report),
                warnings=[*warnings],
                expires_at=expires_at,
                **progress_columns(progress),
            )
            if ended:
                session.add_all(output_rows(job_id, outputs))
                announce_end(session, job_id, now)

    def fail(self, job_id: str, *, lease_token: str, error: Problem, now: datetime) -> None:
        """running -> failed."""
        with write_session(self._engine) as session:
            if self._end(session, job_id, lease_token, JobStatus.FAILED, now, **error_columns(error)):
                announce_end(session, job_id, now)

    def confirm_cancelled(self, job_id: str, *, lease_token: str, now: datetime) -> None:
        """cancelling -> cancelled; Conflict when nobody asked for it."""
        with write_session(self._engine) as session:
            if self._end(session, job_id, lease_token, JobStatus.CANCELLED, now):
                announce_end(session, job_id, now)

    def release(
        self, job_id: str, *, lease_token: str, now: datetime, counts_as_attempt: bool, retry_after_s: float = 0.0
    ) -> None:
        """running -> queued, sent by the sweeper after `retry_after_s`."""
        with write_session(self._engine) as session:
            now = self._lease_time(session, now)
            released = update_job(
                session,
                job_id,
                holds(lease_token, JobStatus.RUNNING),
                uncounted_attempts=JobRow.uncounted_attempts + (0 if counts_as_attempt else 1),
                **requeued_columns(now + timedelta(seconds=retry_after_s)),
            )
            if not released:
                refuse_write(session, job_id, lease_token)

    def make_due(self, device: Device, lane: Lane, *, now: datetime, limit: int = 500) -> int:
        """Let the next sweep send the messages of the oldest jobs that wait in this queue and may run; how many."""
        waits = (is_queued(), is_in_queue(device, lane), ~is_put_off(now))
        oldest = select(JobRow.id).where(*waits).order_by(JobRow.id).limit(limit)
        change = update(JobRow).where(JobRow.id.in_(oldest), is_queued()).values(send_due_at=now).returning(JobRow.id)
        with write_session(self._engine) as session:
            return len(session.scalars(change, execution_options=NO_SYNC).all())

    def sweep(self, *, now: datetime, limit: int = 500) -> SweepResult:
        """Heal expired leases; the queued jobs whose message is due, and the jobs that ended here."""
        with write_session(self._engine) as session:
            now = self._lease_time(session, now)
            is_lost = has_expired(now, JobStatus.RUNNING)
            cancel = (
                update(JobRow)
                .where(has_expired(now, JobStatus.CANCELLING))
                .values(**self._ended_columns(JobStatus.CANCELLED, now))
                .returning(JobRow.id)
            )
            give_up = (
                update(JobRow)
                .where(is_lost, self._is_out_of_attempts())
                .values(**self._ended_columns(JobStatus.FAILED, now), **error_columns(WORKER_LOST))
                .returning(JobRow.id)
            )
            requeue = update(JobRow).where(is_lost).values(**requeued_columns(now))
            due = select(JobRow).where(is_queued(), JobRow.send_due_at <= now).order_by(JobRow.send_due_at).limit(limit)
            ended_ids = [
                *session.scalars(cancel, execution_options=NO_SYNC),
                *session.scalars(give_up, execution_options=NO_SYNC),
            ]
            session.execute(requeue, execution_options=NO_SYNC)
            to_send = [job_of(row) for row in session.scalars(due)]
            ended = [load_job(session, job_id) for job_id in ended_ids]
            for job in ended:
                add_job_event(session, job, now=now)
            announce_ended(session, [job.batch.id for job in ended if job.batch], now=now)
        return SweepResult(to_send=to_send, ended=ended)

    def _check_limits(self, session: Session, job: Job) -> None:
        if job.owner is None or not self._key_limits.refuse:
            return
        hold_key(session, job.owner)
        usage = usage_of(session, job.owner, now=job.created_at)
        size_bytes = job.input.bytes + (job.reference.bytes if job.reference else 0)
        check_limits(self._key_limits, usage, size_bytes=size_bytes, now=job.created_at)

    def _is_out_of_attempts(self) -> Any:  # noqa: ANN401 - a SQL condition
        return JobRow.attempt - JobRow.uncounted_attempts >= self._max_attempts

    def _lease_time(self, session: Session, now: datetime) -> datetime:
        """What time it is for leases: the database server's time, if it is to say so, else `now`."""
        if not self._has_server_clock:
            return now
        return cast(datetime, session.scalar(select(func.clock_timestamp())))

    def _ended_columns(self, status: JobStatus, now: datetime) -> dict[str, Any]:
        # The token stays: it tells a repeated call of the same run from a stranger's.
        ended = {"status": status.value, "finished_at": now, "lease_expires_at": None}
        return {**ended, "expires_at": now + self._retention}

    def _end(
        self,
        session: Session,
        job_id: str,
        lease_token: str,
        status: JobStatus,
        now: datetime,
        **columns: Any,  # noqa: ANN401
    ) -> bool:
        """End the run that holds `lease_token`; False when an earlier call, whose answer was lost, has done it."""
        before = JobStatus.CANCELLING if status is JobStatus.CANCELLED else JobStatus.RUNNING
        if update_job(session, job_id, holds(lease_token, before), **{**self._ended_columns(status, now), **columns}):
            return True
        if session.scalar(select(JobRow.id).where(JobRow.id == job_id, holds(lease_token, status))):
            return False
        refuse_write(session, job_id, lease_token)
