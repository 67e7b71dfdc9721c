"""IdempotencyRepository on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, delete, update
from sqlalchemy.exc import IntegrityError

from core.database import write_session
from core.errors import IdempotencyInFlight
from core.idempotency import LOCK_S, TTL_S, IdempotencyRecord
from core.tables import IdempotencyRow

_NO_SYNC = {"synchronize_session": False}


class SqlIdempotencyRepository:
    """Idempotency keys in a database. Share one per process; it may be used from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, owner: str, key: str, *, now: datetime) -> IdempotencyRecord:
        """Lock the key, or return its complete record."""
        try:
            with write_session(self._engine) as session:
                row = session.get(IdempotencyRow, (owner, key), with_for_update=True)
                if row is not None and row.locked_until is not None and row.locked_until > now:
                    raise _in_flight()
                if row is not None and row.expires_at <= now:
                    session.delete(row)
                    session.flush()
                    row = None
                if row is None:
                    row = IdempotencyRow(owner=owner, key=key, expires_at=now + timedelta(seconds=TTL_S))
                    session.add(row)
                if row.body is None:
                    row.token, row.locked_until = uuid4().hex, now + timedelta(seconds=LOCK_S)
                session.flush()
                return _record_of(row)
        except IntegrityError as error:
            raise _in_flight() from error  # another request inserted the key at the same moment

    def extend(self, record: IdempotencyRecord, *, now: datetime) -> None:
        """Prolong the lock."""
        self._write(record, locked_until=now + timedelta(seconds=LOCK_S))

    def fix(self, record: IdempotencyRecord, *, now: datetime) -> None:
        """Store fingerprint and job id; the lock goes on."""
        self._write(
            record,
            fingerprint=record.fingerprint,
            job_id=record.job_id,
            locked_until=now + timedelta(seconds=LOCK_S),
        )

    def complete(self, record: IdempotencyRecord) -> None:
        """Store the whole record, and end the lock."""
        self._write(
            record,
            fingerprint=record.fingerprint,
            job_id=record.job_id,
            status=record.status,
            body=record.body,
            locked_until=None,
        )

    def unlock(self, record: IdempotencyRecord) -> None:
        """End the lock, if it is still held."""
        with write_session(self._engine) as session:
            statement = update(IdempotencyRow).where(*_holds(record)).values(locked_until=None)
            session.execute(statement, execution_options=_NO_SYNC)

    def purge(self, *, now: datetime) -> int:
        """Remove what has expired."""
        statement = delete(IdempotencyRow).where(IdempotencyRow.expires_at <= now).returning(IdempotencyRow.key)
        with write_session(self._engine) as session:
            return len(session.scalars(statement, execution_options=_NO_SYNC).all())

    def _write(self, record: IdempotencyRecord, **columns: Any) -> None:  # noqa: ANN401
        statement = update(IdempotencyRow).where(*_holds(record)).values(**columns).returning(IdempotencyRow.key)
        with write_session(self._engine) as session:
            if not session.scalars(statement, execution_options=_NO_SYNC).all():
                raise _in_flight()


def _holds(record: IdempotencyRecord) -> tuple[Any, ...]:
    is_key = (IdempotencyRow.owner == record.owner, IdempotencyRow.key == record.key)
    return (*is_key, IdempotencyRow.token == record.token, IdempotencyRow.body.is_(None))


def _in_flight() -> IdempotencyInFlight:
    return IdempotencyInFlight("Wait for its answer, then send the request again.")


def _record_of(row: IdempotencyRow) -> IdempotencyRecord:
    return IdempotencyRecord(
        owner=row.owner,
        key=row.key,
        token=row.token,
        fingerprint=row.fingerprint,
        job_id=row.job_id,
        status=row.status,
        body=row.body,
    )
