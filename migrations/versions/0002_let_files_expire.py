"""When a job's files are removed, and the tombstone of a deleted job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
IS_KEPT = sa.text("purged_at IS NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("purged_at", TIME))
    op.add_column("jobs", sa.Column("deleted_at", TIME))
    # Jobs that ended without outputs had no end of keeping: their inputs are due now.
    op.execute("UPDATE jobs SET expires_at = finished_at WHERE expires_at IS NULL AND finished_at IS NOT NULL")
    op.create_index("ix_jobs_expires_at", "jobs", ["expires_at"], sqlite_where=IS_KEPT, postgresql_where=IS_KEPT)


def downgrade() -> None:
    op.drop_index("ix_jobs_expires_at", "jobs")
    op.drop_column("jobs", "deleted_at")
    op.drop_column("jobs", "purged_at")
