"""Clocks: who owes what by when; and the index of grants that end."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_OWED = "met_at IS NULL AND stopped_at IS NULL"


def upgrade() -> None:
    """Create the table and its indexes."""
    op.create_table(
        "clock",
        sa.Column("clock_id", sa.Uuid, primary_key=True),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("terms", JSONB, nullable=False),
        sa.Column("responsible", sa.Text, nullable=False),
        sa.Column("organization_id", sa.Uuid),
        sa.Column("organization", JSONB, nullable=False),
        sa.Column("request_id", sa.Uuid, sa.ForeignKey("sharing_request.request_id"), nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("grant_id", sa.Uuid),
        sa.Column("dispute_id", sa.Uuid),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("started_on", sa.Date, nullable=False),
        sa.Column("until", sa.Date),
        sa.Column("extension_days", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("paused_days", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("paused_on", sa.Date),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("approaching_at", _TIME, nullable=False),
        sa.Column("missed_at", _TIME, nullable=False),
        sa.Column("assumed_years", JSONB, nullable=False),
        sa.Column("approaching_told_at", _TIME),
        sa.Column("missed_told_at", _TIME),
        sa.Column("escalated_told_at", _TIME),
        sa.Column("next_at", _TIME),
        sa.Column("met_at", _TIME),
        sa.Column("met_by", sa.Text),
        sa.Column("stopped_at", _TIME),
        sa.Column("stopped_reason", sa.Text),
    )
    op.create_index("uq_clock_owed", "clock", ["request_id", "rule"], unique=True, postgresql_where=sa.text(_OWED))
    op.create_index("ix_clock_request", "clock", ["request_id"])
    op.create_index("ix_clock_organization", "clock", ["organization_id", "missed_at", "clock_id"])
    op.create_index("ix_clock_missed", "clock", ["missed_at", "clock_id"])
    op.create_index("ix_clock_next", "clock", ["next_at"], postgresql_where=sa.text("next_at IS NOT NULL"))
    op.create_index("ix_clock_delivery", "clock", ["resource_id"], postgresql_where=sa.text(f"rule = 'delivery' AND {_OWED}"))
    op.create_index("ix_clock_assumed", "clock", ["clock_id"], postgresql_where=sa.text(f"assumed_years <> '[]'::jsonb AND {_OWED}"))
    op.drop_index("ix_grant_use_until", "grant")
    ending = sa.text("state IN ('delivering', 'active', 'suspended') AND use_until IS NOT NULL")
    op.create_index("ix_grant_ending", "grant", ["use_until"], postgresql_where=ending)
