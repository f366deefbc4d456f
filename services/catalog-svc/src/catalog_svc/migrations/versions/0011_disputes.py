"""The deadlines of arbitration cases, objections to their decisions, and what happened to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.add_column("arbitration_case", sa.Column("objection_until", sa.Date))
    op.add_column(
        "arbitration_case", sa.Column("objecting_organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id"))
    )
    op.add_column("arbitration_case", sa.Column("document", sa.Text))
    op.add_column("arbitration_case", sa.Column("closed_at", sa.DateTime(timezone=True)))
    op.add_column("arbitration_case", sa.Column("closed_reason", sa.Text))
    op.create_table(
        "arbitration_step",
        sa.Column("step_id", sa.Uuid, primary_key=True),
        sa.Column("case_id", sa.Uuid, sa.ForeignKey("arbitration_case.case_id"), nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id")),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("details", postgresql.JSONB, nullable=False),
    )
    op.create_index("ix_arbitration_step_case_id", "arbitration_step", ["case_id"])
    op.add_column("duty", sa.Column("case_id", sa.Uuid, sa.ForeignKey("arbitration_case.case_id")))
    op.create_index("ix_duty_case_id", "duty", ["case_id"])
