"""UploadRepository on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Engine, delete, or_, select, update

from core.database import read_session, write_session
from core.errors import Conflict, NotFound
from core.ids import is_id
from core.tables import UploadRow
from core.uploads.upload import Upload, UploadStatus

_NO_SYNC = {"synchronize_session": False}


class SqlUploadRepository:
    """Uploads in a database. Share one per process; it may be used from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, upload: Upload) -> None:
        """Store a new upload."""
        row = UploadRow(
            id=upload.id,
            owner=upload.owner,
            status=upload.status.value,
            name=upload.name,
            media_type=upload.media_type,
            bytes=upload.bytes,
            sha256=upload.sha256,
            reference=upload.reference,
            created_at=upload.created_at,
            expires_at=upload.expires_at,
        )
        with write_session(self._engine) as session:
            session.add(row)

    def get(self, upload_id: str) -> Upload:
        """The upload; NotFound when there is none."""
        with read_session(self._engine) as session:
            row = session.get(UploadRow, upload_id) if is_id(upload_id) else None
            if row is None:
                raise NotFound("There is no such upload.")
            return _upload_of(row)

    def move(
        self, upload_id: str, *, before: Collection[UploadStatus], after: UploadStatus, sha256: str | None = None
    ) -> Upload:
        """One compare-and-set of the status."""
        columns = {"status": after.value} | ({} if sha256 is None else {"sha256": sha256})
        statement = update(UploadRow).where(
            UploadRow.id == upload_id, UploadRow.status.in_([status.value for status in before])
        )
        with write_session(self._engine) as session:
            moved = session.scalars(
                statement.values(**columns).returning(UploadRow.id), execution_options=_NO_SYNC
            ).all()
        upload = self.get(upload_id)
        if not moved:
            raise Conflict(f"The upload is {upload.status}.")
        return upload

    def remove(self, upload_id: str) -> None:
        """Forget the upload, if it is there."""
        with write_session(self._engine) as session:
            session.execute(delete(UploadRow).where(UploadRow.id == upload_id), execution_options=_NO_SYNC)

    def list_expired(self, *, now: datetime, limit: int = 100) -> Sequence[Upload]:
        """Uploads past their time, and those that ended, the oldest first."""
        is_due = or_(UploadRow.expires_at <= now, UploadRow.status == UploadStatus.ENDED.value)
        with read_session(self._engine) as session:
            rows = session.scalars(select(UploadRow).where(is_due).order_by(UploadRow.expires_at).limit(limit))
            return [_upload_of(row) for row in rows]


def _upload_of(row: UploadRow) -> Upload:
    return Upload(
        id=row.id,
        owner=row.owner,
        status=UploadStatus(row.status),
        name=row.name,
        media_type=row.media_type,
        bytes=row.bytes,
        sha256=row.sha256,
        reference=row.reference,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
