"""Disputes about refused and unanswered requests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        "dispute",
        sa.Column("dispute_id", sa.Uuid, primary_key=True),
        sa.Column("request_id", sa.Uuid, sa.ForeignKey("sharing_request.request_id"), nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("requester_id", sa.Uuid, nullable=False),
        sa.Column("requester", JSONB, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("provider", JSONB, nullable=False),
        sa.Column("division_code", sa.Text, nullable=False),
        sa.Column("rung", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("further_until", sa.Date),
    )
    op.create_index("uq_dispute_request", "dispute", ["request_id"], unique=True, postgresql_where=sa.text("state <> 'withdrawn'"))
    op.create_index("ix_dispute_opened", "dispute", ["opened_at", "dispute_id"])
    op.create_table(
        "dispute_step",
        sa.Column("step_id", sa.Uuid, primary_key=True),
        sa.Column("dispute_id", sa.Uuid, sa.ForeignKey("dispute.dispute_id"), nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("rung", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("decided_by", sa.Text),
        sa.Column("document", sa.Text),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_index("ix_dispute_step_dispute", "dispute_step", ["dispute_id", "step_id"])
    op.create_index("ix_clock_dispute", "clock", ["dispute_id"], postgresql_where=sa.text("dispute_id IS NOT NULL"))
