"""A batch's webhook, and the delivery that tells of its end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

IS_UNANNOUNCED = sa.text("webhook IS NOT NULL AND announced_at IS NULL")


def upgrade() -> None:
    op.add_column("batches", sa.Column("webhook", sa.JSON(none_as_null=True)))
    op.add_column("batches", sa.Column("announced_at", sa.DateTime(timezone=True)))
    op.create_index(
        "ix_batches_unannounced",
        "batches",
        ["created_at"],
        sqlite_where=IS_UNANNOUNCED,
        postgresql_where=IS_UNANNOUNCED,
    )
    op.add_column("webhook_deliveries", sa.Column("batch_id", sa.String(36)))
    op.create_index("ix_webhook_deliveries_batch_id", "webhook_deliveries", ["batch_id"])


def downgrade() -> None:
    op.drop_index("ix_webhook_deliveries_batch_id", "webhook_deliveries")
    op.drop_column("webhook_deliveries", "batch_id")
    op.drop_index("ix_batches_unannounced", "batches")
    op.drop_column("batches", "announced_at")
    op.drop_column("batches", "webhook")
