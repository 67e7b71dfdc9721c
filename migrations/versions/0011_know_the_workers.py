"""Worker processes, and since when a job has waited for one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("queues", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("idle_since", TIME),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )
    op.add_column("jobs", sa.Column("queued_at", TIME))


def downgrade() -> None:
    op.drop_column("jobs", "queued_at")
    op.drop_table("workers")
