"""CensusTaker on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, func, or_, select, text

from core.database import read_session
from core.job_conditions import is_held, is_queued
from core.jobs import JobStatus
from core.monitoring.census import DeliveryBacklog, JobCount
from core.tables import JobRow
from core.webhooks.tables import DeliveryRow


class SqlCensusTaker:
    """Counts rows. Share one per process; it may be used from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count_jobs(self) -> Sequence[JobCount]:
        """Jobs that wait or run, by state and preset."""
        query = (
            select(JobRow.status, JobRow.preset, func.count())
            .where(or_(is_queued(), is_held()))
            .group_by(JobRow.status, JobRow.preset)
            .order_by(JobRow.status, JobRow.preset)
        )
        with read_session(self._engine) as session:
            return [
                JobCount(status=JobStatus(status), preset=preset, count=count)
                for status, preset, count in session.execute(query)
            ]

    def count_deliveries(self, *, now: datetime) -> DeliveryBacklog:
        """Deliveries that are pending, and since when the oldest of them could have been sent."""
        is_pending = DeliveryRow.status == text("'pending'")  # a literal, for the partial index
        pending = select(func.count()).select_from(DeliveryRow).where(is_pending)
        due_since = select(func.min(DeliveryRow.next_attempt_at)).where(is_pending, DeliveryRow.next_attempt_at <= now)
        with read_session(self._engine) as session:
            return DeliveryBacklog(pending=session.scalar(pending) or 0, due_since=session.scalar(due_since))
