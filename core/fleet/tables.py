"""The table of worker processes (core.fleet.queue_state)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.tables import Base, JsonColumn


class WorkerRow(Base):
    """One process that takes jobs, or took them until `seen_at`."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)  # as jobs.worker has it
    queues: Mapped[list[str]]
    models: Mapped[list[str] | None] = mapped_column(JsonColumn)  # installed where it runs; None: it does not say
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    idle_since: Mapped[datetime | None]  # None: it has a task
