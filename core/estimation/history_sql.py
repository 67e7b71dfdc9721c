"""RunHistory on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, select

from core.database import read_session
from core.estimation.history import PastRun
from core.ids import first_id_at
from core.jobs import Device, JobStatus
from core.tables import JobRow

WINDOW = timedelta(days=30)


class SqlRunHistory:
    """Looks at the jobs in a database. Share one per process; it may be used from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def recent(self, preset: str, *, device: Device, now: datetime, limit: int) -> Sequence[PastRun]:
        """Jobs of the preset on such a device that succeeded in the last 30 days, everyone's, newest first."""
        query = (
            select(JobRow.options, JobRow.progress_rtf)
            .where(
                JobRow.id >= first_id_at(now - WINDOW),  # ids begin with their time: the primary key's index serves
                JobRow.preset == preset,
                JobRow.device == device.value,
                JobRow.status == JobStatus.SUCCEEDED.value,
                JobRow.deleted_at.is_(None),
                JobRow.progress_rtf > 0,
            )
            .order_by(JobRow.id.desc())
            .limit(limit)
        )
        with read_session(self._engine) as session:
            return [PastRun(options=options, rtf=rtf) for options, rtf in session.execute(query)]
