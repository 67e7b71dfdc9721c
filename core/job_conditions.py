"""SQL conditions on a job's row that more than one query needs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import and_, literal_column, text

from core.jobs import Device, JobStatus, Lane
from core.tables import JobRow

HELD = (JobStatus.RUNNING.value, JobStatus.CANCELLING.value)


# `row` is JobRow or an alias of it. SQL conditions are typed as Any: SQLAlchemy's own types for them say nothing that a
# reader needs.
def is_queued(row: Any = JobRow) -> Any:  # noqa: ANN401
    # A literal, so that Postgres uses the partial indices in prepared statements too.
    return row.status == text("'queued'")


def is_in_queue(device: Device, lane: Lane, row: Any = JobRow) -> Any:  # noqa: ANN401
    return and_(row.device == device.value, row.lane == lane.value)


def is_put_off(now: datetime, row: Any = JobRow) -> Any:  # noqa: ANN401
    """It waits for a delay after a fault to pass: no message has been sent since."""
    return and_(row.attempt > 0, row.sends == 0, row.send_due_at > now)


def is_held() -> Any:  # noqa: ANN401
    """A worker has it."""
    return JobRow.status.in_([literal_column(repr(status)) for status in HELD])  # literals for the same reason


def has_expired(now: datetime, status: JobStatus) -> Any:  # noqa: ANN401
    return and_(JobRow.status == status.value, JobRow.lease_expires_at <= now)


def holds(lease_token: str, *statuses: JobStatus) -> Any:  # noqa: ANN401
    return and_(JobRow.lease_token == lease_token, JobRow.status.in_([str(s) for s in statuses] or HELD))
