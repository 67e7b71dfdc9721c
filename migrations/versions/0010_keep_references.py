"""A job may hold a clean reference of its recording, which its report compares with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("reference", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("reference_bytes", sa.BigInteger(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    op.drop_column("jobs", "reference_bytes")
    op.drop_column("jobs", "reference")
