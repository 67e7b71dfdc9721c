"""Each worker process says which models are installed where it runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("models", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    op.drop_column("workers", "models")
