"""The table of batches (core.batches.batch)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.tables import Base, JsonColumn


class BatchRow(Base):
    """One batch. Its jobs name it."""

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(36))
    size: Mapped[int]
    refused: Mapped[list[dict[str, Any]]] = mapped_column(JsonColumn)
    created_at: Mapped[datetime]
    webhook: Mapped[dict[str, Any] | None] = mapped_column(JsonColumn)  # None: nobody wants to be told of its end
    announced_at: Mapped[datetime | None]  # when the event of its end was stored

    __table_args__ = (
        Index(
            "ix_batches_unannounced",
            "created_at",
            sqlite_where=text("webhook IS NOT NULL AND announced_at IS NULL"),
            postgresql_where=text("webhook IS NOT NULL AND announced_at IS NULL"),
        ),
    )
