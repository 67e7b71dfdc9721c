"""BatchRepository on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, case, literal, select, update

from core.batches.batch import INTAKE_TIMEOUT_S, Batch, RefusedItem
from core.batches.ending_sql import announce_ended, load_batch
from core.batches.tables import BatchRow
from core.database import read_session, write_session
from core.errors import NotFound
from core.ids import is_id
from core.job_rows import job_of, webhook_columns
from core.jobs import JobStatus, OutputFile
from core.tables import JobRow, OutputRow, UtcDateTime
from core.webhooks.outbox_sql import add_job_event

_NO_SYNC = {"synchronize_session": False}


class SqlBatchRepository:
    """Batches in a database. Share one per process; it may be used from many threads.

    The files of a job that is cancelled while it waits are kept for `retention_s`.
    """

    def __init__(self, engine: Engine, *, retention_s: float) -> None:
        self._engine = engine
        self._retention = timedelta(seconds=retention_s)

    def add(self, batch: Batch) -> None:
        """Store a new batch."""
        row = BatchRow(
            id=batch.id,
            owner=batch.owner,
            size=batch.size,
            refused=[asdict(item) for item in batch.refused],
            created_at=batch.created_at,
            webhook=None if batch.webhook is None else webhook_columns(batch.webhook),
        )
        with write_session(self._engine) as session:
            session.add(row)

    def refuse(self, batch_id: str, items: Sequence[RefusedItem], *, now: datetime) -> None:
        """Store which items were refused; replaces what was stored. The batch's end is told if this was all of it."""
        columns = {"refused": [asdict(item) for item in items]}
        with write_session(self._engine) as session:
            session.execute(
                update(BatchRow).where(BatchRow.id == batch_id).values(**columns), execution_options=_NO_SYNC
            )
            announce_ended(session, [batch_id], now=now)

    def get(self, batch_id: str) -> Batch:
        """The batch with its jobs; NotFound when there is none of this id."""
        with read_session(self._engine) as session:
            row = session.get(BatchRow, batch_id) if is_id(batch_id) else None
            if row is None:
                raise NotFound("There is no such batch.")
            return load_batch(session, row)

    def outputs(self, batch_id: str) -> Mapping[str, Sequence[OutputFile]]:
        """What the batch's jobs have made, by job id, each in its order."""
        query = (
            select(OutputRow)
            .join(JobRow, JobRow.id == OutputRow.job_id)
            .where(JobRow.batch_id == batch_id)
            .order_by(OutputRow.job_id, OutputRow.position)
        )
        found: dict[str, list[OutputFile]] = defaultdict(list)
        with read_session(self._engine) as session:
            for row in session.scalars(query):
                output = OutputFile(
                    name=row.name,
                    role=row.role,
                    key=row.key,
                    media_type=row.media_type,
                    bytes=row.bytes,
                    sha256=row.sha256,
                )
                found[row.job_id].append(output)
        return dict(found)

    def request_cancel(self, batch_id: str, *, now: datetime) -> None:
        """queued -> cancelled, running -> cancelling, for every job of the batch; what has ended stays.

        One statement decides by each row's state at the moment of its change, so that no claim and no release can slip
        between the two cases.
        """
        is_queued = JobRow.status == JobStatus.QUEUED.value
        change = (
            update(JobRow)
            .where(
                JobRow.batch_id == batch_id,
                JobRow.status.in_([JobStatus.QUEUED.value, JobStatus.RUNNING.value]),
            )
            .values(
                status=case((is_queued, JobStatus.CANCELLED.value), else_=JobStatus.CANCELLING.value),
                finished_at=case((is_queued, _time(now)), else_=JobRow.finished_at),
                expires_at=case((is_queued, _time(now + self._retention)), else_=JobRow.expires_at),
            )
            .returning(JobRow.id, JobRow.status)
        )
        with write_session(self._engine) as session:
            changed = session.execute(change, execution_options=_NO_SYNC).all()
            ended_ids = [job_id for job_id, status in changed if status == JobStatus.CANCELLED.value]
            for row in session.scalars(select(JobRow).where(JobRow.id.in_(ended_ids)).order_by(JobRow.id)):
                add_job_event(session, job_of(row), now=now)
            announce_ended(session, [batch_id], now=now)

    def abandon(self, batch_id: str, *, now: datetime) -> None:
        """Cancel every job of a batch whose intake broke off, and tell nobody of its end."""
        self.request_cancel(batch_id, now=now)
        untold = update(BatchRow).where(BatchRow.id == batch_id, BatchRow.announced_at.is_(None)).values(webhook=None)
        with write_session(self._engine) as session:  # apart: jobs are locked before their batch, never after it
            session.execute(untold, execution_options=_NO_SYNC)

    def announce_lost(self, *, now: datetime) -> int:
        """Store the event of batches that are at their end because their intake was lost; how many."""
        is_overdue = BatchRow.created_at < now - timedelta(seconds=INTAKE_TIMEOUT_S)
        lost = select(BatchRow.id).where(BatchRow.webhook.is_not(None), BatchRow.announced_at.is_(None), is_overdue)
        with write_session(self._engine) as session:
            return announce_ended(session, session.scalars(lost).all(), now=now)


def _time(value: datetime) -> Any:  # noqa: ANN401 - a SQL expression
    return literal(value, UtcDateTime())
