"""Idempotency keys with the replies to replay, and jobs found by their recording."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.String(36), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("locked_until", TIME),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("job_id", sa.String(36)),
        sa.Column("status", sa.Integer()),
        sa.Column("body", sa.Text()),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])
    op.create_index("ix_jobs_input_sha256", "jobs", ["input_sha256"])


def downgrade() -> None:
    op.drop_index("ix_jobs_input_sha256", "jobs")
    op.drop_table("idempotency_keys")
