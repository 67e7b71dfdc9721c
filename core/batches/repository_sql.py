"""BatchRepository on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, case, literal, select, update

from core.batches.batch import Batch, BatchItem, RefusedItem
from core.batches.tables import BatchRow
from core.database import read_session, write_session
from core.errors import NotFound
from core.ids import is_id
from core.job_rows import job_of
from core.jobs import JobStatus, OutputFile, Problem
from core.tables import JobRow, OutputRow, UtcDateTime
from core.webhooks.outbox_sql import add_job_event

_NO_SYNC = {"synchronize_session": False}

# Reports and options, which may be long, stay in the database when a batch is looked at.
_ITEM_COLUMNS = (
    JobRow.id,
    JobRow.batch_position,
    JobRow.status,
    JobRow.input_name,
    JobRow.input_bytes,
    JobRow.input_sha256,
    JobRow.input_duration_s,
    JobRow.progress_fraction,
    JobRow.error_code,
    JobRow.error_title,
    JobRow.error_detail,
    JobRow.expires_at,
    JobRow.purged_at,
    JobRow.deleted_at,
)


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
        )
        with write_session(self._engine) as session:
            session.add(row)

    def refuse(self, batch_id: str, items: Sequence[RefusedItem]) -> None:
        """Store which items were refused; replaces what was stored."""
        columns = {"refused": [asdict(item) for item in items]}
        with write_session(self._engine) as session:
            session.execute(
                update(BatchRow).where(BatchRow.id == batch_id).values(**columns), execution_options=_NO_SYNC
            )

    def get(self, batch_id: str) -> Batch:
        """The batch with its jobs; NotFound when there is none of this id."""
        with read_session(self._engine) as session:
            row = session.get(BatchRow, batch_id) if is_id(batch_id) else None
            if row is None:
                raise NotFound("There is no such batch.")
            query = select(*_ITEM_COLUMNS).where(JobRow.batch_id == batch_id).order_by(JobRow.batch_position)
            jobs = session.execute(query).all()
            return Batch(
                id=row.id,
                owner=row.owner,
                size=row.size,
                created_at=row.created_at,
                refused=tuple(
                    RefusedItem(position=item["position"], name=item["name"], problem=Problem(**item["problem"]))
                    for item in row.refused
                ),
                jobs=tuple(_item_of(job) for job in jobs),
            )

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


def _item_of(row: Any) -> BatchItem:  # noqa: ANN401 - a row of _ITEM_COLUMNS
    problem = None
    if row.error_code is not None:
        problem = Problem(code=row.error_code, title=row.error_title or "", detail=row.error_detail or "")
    return BatchItem(
        position=row.batch_position,
        job_id=row.id,
        name=row.input_name,
        status=JobStatus(row.status),
        fraction=row.progress_fraction,
        duration_s=row.input_duration_s,
        input_bytes=row.input_bytes,
        input_sha256=row.input_sha256,
        problem=problem,
        expires_at=row.expires_at,
        purged_at=row.purged_at,
        deleted_at=row.deleted_at,
    )


def _time(value: datetime) -> Any:  # noqa: ANN401 - a SQL expression
    return literal(value, UtcDateTime())
