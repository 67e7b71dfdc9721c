"""What each API key has waiting and running, found without reading its past."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IS_ACTIVE = sa.text("status IN ('queued', 'running', 'cancelling')")


def upgrade() -> None:
    op.create_index(
        "ix_jobs_active_owner", "jobs", ["owner", "status", "id"], sqlite_where=IS_ACTIVE, postgresql_where=IS_ACTIVE
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_active_owner", "jobs")
