"""Corrections of what is shared; each has a clock of its own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_OWED = "met_at IS NULL AND stopped_at IS NULL"


def upgrade() -> None:
    """Create the table, and let a request have a clock for each correction."""
    op.create_table(
        "correction",
        sa.Column("correction_id", sa.Uuid, primary_key=True),
        sa.Column("grant_id", sa.Uuid, sa.ForeignKey("grant.grant_id"), nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("requester_id", sa.Uuid, nullable=False),
        sa.Column("requester", JSONB, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("provider", JSONB, nullable=False),
        sa.Column("records", JSONB, nullable=False),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("filed_at", _TIME, nullable=False),
        sa.Column("filed_by", sa.Text, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("ended_by", sa.Text),
        sa.Column("answer", sa.Text),
        sa.Column("batch_id", sa.Uuid),
    )
    op.create_index("ix_correction_requester", "correction", ["requester_id", "filed_at", "correction_id"])
    op.create_index("ix_correction_provider", "correction", ["provider_id", "filed_at", "correction_id"])
    op.add_column("clock", sa.Column("correction_id", sa.Uuid))
    op.drop_index("uq_clock_owed", "clock")
    about = sa.text("coalesce(correction_id, request_id)")
    op.create_index("uq_clock_owed", "clock", [about, "rule"], unique=True, postgresql_where=sa.text(_OWED))
    op.create_index("ix_clock_correction", "clock", ["correction_id"], postgresql_where=sa.text("correction_id IS NOT NULL"))
