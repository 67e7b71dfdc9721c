"""Batches, and which one a job belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)
TIME = sa.DateTime(timezone=True)
IS_IN_A_BATCH = sa.text("batch_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("owner", sa.String(36)),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("refused", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )
    op.add_column("jobs", sa.Column("batch_id", sa.String(36)))
    op.add_column("jobs", sa.Column("batch_position", sa.Integer()))
    op.create_index(
        "ix_jobs_batch_id",
        "jobs",
        ["batch_id", "id"],
        sqlite_where=IS_IN_A_BATCH,
        postgresql_where=IS_IN_A_BATCH,
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_batch_id", "jobs")
    op.drop_column("jobs", "batch_position")
    op.drop_column("jobs", "batch_id")
    op.drop_table("batches")
