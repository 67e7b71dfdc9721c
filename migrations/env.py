"""Alembic's entry point: runs the migrations on the connection that core.database.migrate has opened."""

from __future__ import annotations

from alembic import context

import core.batches.tables
import core.fleet.tables  # noqa: F401 - both are part of the metadata
from core.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
