"""Single changes of a job's row, each one UPDATE that says whether it took place, and what a refused one means."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.batches.ending_sql import announce_ended
from core.errors import Conflict, JobCancelled, LeaseLost, NotFound
from core.ids import is_id
from core.job_conditions import holds
from core.job_rows import job_of
from core.jobs import Job, JobStatus
from core.tables import JobRow
from core.webhooks.outbox_sql import add_job_event

NO_SYNC = {"synchronize_session": False}  # sessions here live for one change: nothing to keep in step


def update_job(session: Session, job_id: str, *conditions: Any, **columns: Any) -> JobStatus | None:  # noqa: ANN401
    """One compare-and-set: the status after it, or None when the row did not meet the conditions."""
    statement = update(JobRow).where(JobRow.id == job_id, *conditions).values(**columns).returning(JobRow.status)
    status = session.scalar(statement, execution_options=NO_SYNC)
    return None if status is None else JobStatus(status)


def announce_end(session: Session, job_id: str, now: datetime) -> None:
    """Store the event of a job that has just ended, and of its batch if that was the last, in the same transaction."""
    session.flush()  # the outputs are part of it
    job = load_job(session, job_id)
    add_job_event(session, job, now=now)
    announce_ended(session, [job.batch.id if job.batch else None], now=now)


def held_status(session: Session, job_id: str, lease_token: str) -> JobStatus | None:
    """The status of a job whose run holds this lease; None when another does, or it has ended."""
    status = session.scalar(select(JobRow.status).where(JobRow.id == job_id, holds(lease_token)))
    return None if status is None else JobStatus(status)


def refuse_write(session: Session, job_id: str, lease_token: str) -> NoReturn:
    """Raise what a refused write means: JobCancelled or Conflict for the holder of the lease, LeaseLost for others."""
    status = held_status(session, job_id, lease_token)
    if status is JobStatus.CANCELLING:
        raise JobCancelled("The job was cancelled.")
    if status is JobStatus.RUNNING:
        raise Conflict("The job was not asked to stop.")
    raise LeaseLost("Another worker has taken this job.")


def load_job(session: Session, job_id: str, *, for_update: bool = False) -> Job:
    """The job or its tombstone, locked on request; NotFound when there is none of this id."""
    row = session.get(JobRow, job_id, populate_existing=True, with_for_update=for_update) if is_id(job_id) else None
    if row is None:
        raise NotFound("There is no such job.")
    return job_of(row)
