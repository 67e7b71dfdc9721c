"""UsageRepository on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from core.access.limits import DAY_S, Usage
from core.database import read_session
from core.ids import first_id_at
from core.job_conditions import is_queued
from core.tables import JobRow

_KEY_LOCKS = 0x4B4559  # "KEY": the class of these locks among all advisory ones


class SqlUsageRepository:
    """Counts jobs in a database. Share one per process; it may be used from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def usage(self, owner: str, *, now: datetime) -> Usage:
        """What the key uses now."""
        with read_session(self._engine) as session:
            return usage_of(session, owner, now=now)


def usage_of(session: Session, owner: str, *, now: datetime) -> Usage:
    """What the key uses, as this transaction sees it."""
    # Ids begin with their time, so that the index of a key's jobs leads to those of the last day.
    day_ago = first_id_at(now - timedelta(seconds=DAY_S))
    waiting = select(func.count()).where(JobRow.owner == owner, is_queued())
    sent_bytes = func.coalesce(func.sum(JobRow.input_bytes + JobRow.reference_bytes), 0)
    recent = select(sent_bytes, func.min(JobRow.created_at)).where(JobRow.owner == owner, JobRow.id >= day_ago)
    size_bytes, oldest_at = session.execute(recent).one()
    return Usage(queued=session.scalar(waiting) or 0, bytes_last_day=int(size_bytes), oldest_at=oldest_at)


def hold_key(session: Session, owner: str) -> None:
    """Let no other transaction that asks for the same key pass until this one ends. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_KEY_LOCKS, func.hashtext(owner))))
