"""The index of a queue leads to each owner's jobs in their order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

IS_QUEUED = sa.text("status = 'queued'")


def upgrade() -> None:
    _replace_index(["device", "lane", "owner", "id"])


def downgrade() -> None:
    _replace_index(["device", "lane", "id"])


def _replace_index(columns: list[str]) -> None:
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index("ix_jobs_queue", "jobs", columns, sqlite_where=IS_QUEUED, postgresql_where=IS_QUEUED)
