"""The outbox's table. What a column means is said in core.webhooks.outbox."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.tables import Base
from core.webhooks.outbox import DeliveryStatus

_STATUSES = ", ".join(repr(status.value) for status in DeliveryStatus)


class DeliveryRow(Base):
    """One event for one URL. No foreign key to the job: the log outlives it."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    job_id: Mapped[str | None] = mapped_column(String(36))
    batch_id: Mapped[str | None] = mapped_column(String(36))
    owner: Mapped[str | None] = mapped_column(String(36))
    event: Mapped[str] = mapped_column(String(64))
    url: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Text)
    secret: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(String(55))
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]  # while an attempt is in progress: when its lease ends
    last_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    lease_token: Mapped[str | None] = mapped_column(String(32))

    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="status"),
        Index("ix_webhook_deliveries_job_id", "job_id"),
        Index("ix_webhook_deliveries_batch_id", "batch_id"),
        Index("ix_webhook_deliveries_owner_id", "owner", "id"),
        Index(
            "ix_webhook_deliveries_due",
            "attempts",
            "next_attempt_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_webhook_deliveries_off",
            "url",
            sqlite_where=text("status = 'disabled'"),
            postgresql_where=text("status = 'disabled'"),
        ),
        Index("ix_webhook_deliveries_created_at", "created_at"),
    )
