"""Jobs and their outputs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)
TIME = sa.DateTime(timezone=True)

IS_QUEUED = sa.text("status = 'queued'")
IS_HELD = sa.text("status IN ('running', 'cancelling')")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("lane", sa.String(16), nullable=False),
        sa.Column("device", sa.String(16), nullable=False),
        sa.Column("preset", sa.String(64), nullable=False),
        sa.Column("preset_version", sa.Integer(), nullable=False),
        sa.Column("options", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("input_name", sa.Text(), nullable=False),
        sa.Column("input_key", sa.Text(), nullable=False),
        sa.Column("input_bytes", sa.BigInteger(), nullable=False),
        sa.Column("input_sha256", sa.String(64), nullable=False),
        sa.Column("input_media_type", sa.Text(), nullable=False),
        sa.Column("input_duration_s", sa.Double()),
        sa.Column("input_sample_rate", sa.Integer()),
        sa.Column("input_channels", sa.Integer()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("expires_at", TIME),
        sa.Column("stage", sa.String(16)),
        sa.Column("progress_fraction", sa.Double(), nullable=False),
        sa.Column("progress_processed_s", sa.Double(), nullable=False),
        sa.Column("progress_duration_s", sa.Double()),
        sa.Column("progress_eta_s", sa.Double()),
        sa.Column("progress_rtf", sa.Double()),
        sa.Column("report", JSON),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_title", sa.Text()),
        sa.Column("error_detail", sa.Text()),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("uncounted_attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text()),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_expires_at", TIME),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("sent_at", TIME),
        sa.Column("send_due_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_status"),
        ),
        sa.CheckConstraint("lane IN ('interactive', 'bulk')", name=op.f("ck_jobs_lane")),
        sa.CheckConstraint("device IN ('cpu', 'gpu')", name=op.f("ck_jobs_device")),
        sa.CheckConstraint("stage IN ('prepare', 'enhance', 'finish')", name=op.f("ck_jobs_stage")),
    )
    op.create_index("ix_jobs_status_id", "jobs", ["status", "id"])
    op.create_index(
        "ix_jobs_queue", "jobs", ["device", "lane", "id"], sqlite_where=IS_QUEUED, postgresql_where=IS_QUEUED
    )
    op.create_index("ix_jobs_send_due_at", "jobs", ["send_due_at"], sqlite_where=IS_QUEUED, postgresql_where=IS_QUEUED)
    op.create_index(
        "ix_jobs_lease_expires_at", "jobs", ["lease_expires_at"], sqlite_where=IS_HELD, postgresql_where=IS_HELD
    )
    op.create_table(
        "outputs",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "name", name="pk_outputs"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_outputs_job_id", ondelete="CASCADE"),
    )


def downgrade() -> None:
    op.drop_table("outputs")
    op.drop_table("jobs")
