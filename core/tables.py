"""The database's tables (SQLAlchemy 2). What a column means is said in core.jobs; the rest is the job machine's own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from core.jobs import Device, JobStatus, Lane, Stage
from core.uploads.upload import UploadStatus

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

# Not JSONB: a client's metadata comes back as it was sent, with the order of its keys.
JsonColumn = JSON(none_as_null=True)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps no zone: there the text is UTC, and comes back aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A time without a zone cannot be stored: {value!r}.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Root of the tables."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime,
        float: Double,
        dict[str, Any]: JsonColumn,
        list[str]: JsonColumn,
    }


def _one_of(column: str, values: type[JobStatus | Lane | Device | Stage | UploadStatus]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


class JobRow(Base):
    """One job."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    lane: Mapped[str] = mapped_column(String(16))
    device: Mapped[str] = mapped_column(String(16))
    preset: Mapped[str] = mapped_column(String(64))
    preset_version: Mapped[int]
    options: Mapped[dict[str, Any]]
    client_metadata: Mapped[dict[str, Any]] = mapped_column("metadata")
    webhook: Mapped[dict[str, Any] | None] = mapped_column(JsonColumn)
    traceparent: Mapped[str | None] = mapped_column(String(55))

    owner: Mapped[str | None] = mapped_column(String(36))
    batch_id: Mapped[str | None] = mapped_column(String(36))
    batch_position: Mapped[int | None]

    input_name: Mapped[str] = mapped_column(Text)
    input_key: Mapped[str] = mapped_column(Text)
    input_bytes: Mapped[int] = mapped_column(BigInteger)
    input_sha256: Mapped[str] = mapped_column(String(64))
    input_media_type: Mapped[str] = mapped_column(Text)
    input_duration_s: Mapped[float | None]
    input_sample_rate: Mapped[int | None]
    input_channels: Mapped[int | None]
    input_url: Mapped[str | None] = mapped_column(Text)

    reference: Mapped[dict[str, Any] | None] = mapped_column(JsonColumn)  # an InputFile
    reference_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))

    created_at: Mapped[datetime]
    queued_at: Mapped[datetime | None]  # when it was queued last; None: by an earlier version, when it was created
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    stage: Mapped[str | None] = mapped_column(String(16))
    progress_fraction: Mapped[float] = mapped_column(default=0.0)
    progress_processed_s: Mapped[float] = mapped_column(default=0.0)
    progress_duration_s: Mapped[float | None]
    progress_eta_s: Mapped[float | None]
    progress_rtf: Mapped[float | None]

    report: Mapped[dict[str, Any] | None] = mapped_column(JsonColumn)
    warnings: Mapped[list[str]]
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_title: Mapped[str | None] = mapped_column(Text)
    error_detail: Mapped[str | None] = mapped_column(Text)

    attempt: Mapped[int] = mapped_column(default=0)
    uncounted_attempts: Mapped[int] = mapped_column(default=0)  # cut short by a shutdown: not the job's fault
    worker: Mapped[str | None] = mapped_column(Text)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_expires_at: Mapped[datetime | None]

    sends: Mapped[int] = mapped_column(default=0)  # messages sent since it was last queued
    sent_at: Mapped[datetime | None]
    send_due_at: Mapped[datetime]  # when the sweeper sends the message (again), if it still waits

    outputs: Mapped[list[OutputRow]] = relationship(order_by="OutputRow.position", lazy="selectin")

    __table_args__ = (
        CheckConstraint(_one_of("status", JobStatus), name="status"),
        CheckConstraint(_one_of("lane", Lane), name="lane"),
        CheckConstraint(_one_of("device", Device), name="device"),
        CheckConstraint(_one_of("stage", Stage), name="stage"),
        Index("ix_jobs_status_id", "status", "id"),
        Index("ix_jobs_owner_id", "owner", "id"),
        Index(
            "ix_jobs_batch_id",
            "batch_id",
            "id",
            sqlite_where=text("batch_id IS NOT NULL"),
            postgresql_where=text("batch_id IS NOT NULL"),
        ),
        Index("ix_jobs_input_sha256", "input_sha256"),
        Index(
            "ix_jobs_active_owner",
            "owner",
            "status",
            "id",
            sqlite_where=text("status IN ('queued', 'running', 'cancelling')"),
            postgresql_where=text("status IN ('queued', 'running', 'cancelling')"),
        ),
        Index(
            "ix_jobs_queue",
            "device",
            "lane",
            "owner",
            "id",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index(
            "ix_jobs_send_due_at",
            "send_due_at",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index(
            "ix_jobs_lease_expires_at",
            "lease_expires_at",
            sqlite_where=text("status IN ('running', 'cancelling')"),
            postgresql_where=text("status IN ('running', 'cancelling')"),
        ),
        Index(
            "ix_jobs_expires_at",
            "expires_at",
            sqlite_where=text("purged_at IS NULL"),
            postgresql_where=text("purged_at IS NULL"),
        ),
    )


class OutputRow(Base):
    """One file that a job made."""

    __tablename__ = "outputs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    position: Mapped[int]
    role: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))


class ApiKeyRow(Base):
    """One API key (core.access.keys)."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(String(16))
    token_sha256: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_api_keys_token_sha256", "token_sha256", unique=True),)


class IdempotencyRow(Base):
    """One Idempotency-Key of one API key (core.idempotency)."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(String(36), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    token: Mapped[str] = mapped_column(String(32))
    locked_until: Mapped[datetime | None]
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    job_id: Mapped[str | None] = mapped_column(String(36))
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ix_idempotency_keys_expires_at", "expires_at"),)


class UploadRow(Base):
    """One upload in parts (core.uploads)."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(36))
    status: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    reference: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(_one_of("status", UploadStatus), name="status"),
        Index("ix_uploads_expires_at", "expires_at"),
    )
