"""Webhooks, their outbox, and inputs that are fetched from a URL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)
TIME = sa.DateTime(timezone=True)

IS_PENDING = sa.text("status = 'pending'")
IS_DISABLED = sa.text("status = 'disabled'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("webhook", JSON))
    op.add_column("jobs", sa.Column("input_url", sa.Text()))
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("job_id", sa.String(36)),
        sa.Column("owner", sa.String(36)),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text()),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("next_attempt_at", TIME),
        sa.Column("last_attempt_at", TIME),
        sa.Column("last_status", sa.Integer()),
        sa.Column("last_error", sa.Text()),
        sa.Column("lease_token", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'failed', 'disabled')", name=op.f("ck_webhook_deliveries_status")
        ),
    )
    op.create_index("ix_webhook_deliveries_job_id", "webhook_deliveries", ["job_id"])
    op.create_index("ix_webhook_deliveries_owner_id", "webhook_deliveries", ["owner", "id"])
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["attempts", "next_attempt_at"],
        sqlite_where=IS_PENDING,
        postgresql_where=IS_PENDING,
    )
    op.create_index(
        "ix_webhook_deliveries_off",
        "webhook_deliveries",
        ["url"],
        sqlite_where=IS_DISABLED,
        postgresql_where=IS_DISABLED,
    )
    op.create_index("ix_webhook_deliveries_created_at", "webhook_deliveries", ["created_at"])


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_column("jobs", "input_url")
    op.drop_column("jobs", "webhook")
