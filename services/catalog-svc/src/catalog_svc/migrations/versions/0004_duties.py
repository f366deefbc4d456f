"""The tables of duties."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "duty",
        sa.Column("duty_id", sa.Uuid, primary_key=True),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("terms", postgresql.JSONB, nullable=False),
        sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id"), nullable=False),
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id")),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("basis", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_by", sa.Text, nullable=False),
        sa.Column("started_on", sa.Date, nullable=False),
        sa.Column("extension", sa.Text),
        sa.Column("extension_asked_days", sa.Integer),
        sa.Column("extension_days", sa.Integer, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("approaching_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("missed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assumed_years", postgresql.JSONB, nullable=False),
        sa.Column("approaching_told_at", sa.DateTime(timezone=True)),
        sa.Column("missed_told_at", sa.DateTime(timezone=True)),
        sa.Column("met_at", sa.DateTime(timezone=True)),
        sa.Column("met_by", sa.Text),
        sa.Column("met_resource_id", sa.Uuid),
        sa.Column("met_version", sa.Integer),
        sa.Column("cancelled_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_duty_organization_id", "duty", ["organization_id", "missed_at"])
    op.create_index("ix_duty_resource_id", "duty", ["resource_id"])
    op.create_index("duty_due", "duty", ["missed_at", "duty_id"])
    untold = "approaching_told_at IS NULL AND met_at IS NULL AND cancelled_at IS NULL"
    op.create_index("duty_untold_approaching", "duty", ["approaching_at"], postgresql_where=sa.text(untold))
    untold = "missed_told_at IS NULL AND cancelled_at IS NULL AND (met_at IS NULL OR met_at >= missed_at)"
    op.create_index("duty_untold_missed", "duty", ["missed_at"], postgresql_where=sa.text(untold))
    op.create_table(
        "duty_step",
        sa.Column("step_id", sa.Uuid, primary_key=True),
        sa.Column("duty_id", sa.Uuid, sa.ForeignKey("duty.duty_id"), nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("details", postgresql.JSONB, nullable=False),
    )
    op.create_index("ix_duty_step_duty_id", "duty_step", ["duty_id", "at"])
    op.create_table(
        "mount",
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id"), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("mounted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mounted_by", sa.Text, nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True)),
        sa.Column("confirmed_by", sa.Text),
    )
    op.create_table(
        "mount_step",
        sa.Column("step_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id"), nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_mount_step_resource_id", "mount_step", ["resource_id", "at"])
    op.create_table(
        "resource_arrival",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("first_accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.Uuid, nullable=False),
        sa.Column("batch_count", sa.Integer, nullable=False),
    )
