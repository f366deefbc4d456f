"""Demands and scenarios as the catalogue tells them, what requests rest on, and the grants that scenarios gave."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables and add the columns."""
    for name in ("kind", "level"):
        op.add_column("organization", sa.Column(name, sa.Text))
    op.create_table(
        "list_entry",
        sa.Column("entry_id", sa.Uuid, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("owner_id", sa.Uuid, nullable=False),
        sa.Column("is_over", sa.Boolean, nullable=False),
        sa.Column("snapshot", JSONB, nullable=False),
        sa.Column("entered_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
    )
    op.create_index("ix_list_entry_kind", "list_entry", ["kind", "entered_at", "entry_id"])
    for name in ("scenario_id", "demand_id"):
        op.add_column("sharing_request", sa.Column(name, sa.Uuid))
    for name in ("use_purpose", "scenario_note"):
        op.add_column("sharing_request", sa.Column(name, sa.Text))
    came = sa.text("demand_id IS NOT NULL")
    op.create_index("ix_sharing_request_demand", "sharing_request", ["demand_id"], postgresql_where=came)
    op.create_table(
        "scenario_grant",
        sa.Column("grant_id", sa.Uuid, sa.ForeignKey("grant.grant_id"), primary_key=True),
        sa.Column("scenario_id", sa.Uuid, nullable=False),
        sa.Column("scenario", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("approvals", JSONB, nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("requester_id", sa.Uuid, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("granted_at", _TIME, nullable=False),
        sa.Column("lapsed_at", _TIME),
        sa.Column("lapse_reason", sa.Text),
    )
    resting = sa.text("lapsed_at IS NULL")
    op.create_index("ix_scenario_grant_scenario", "scenario_grant", ["scenario_id"], postgresql_where=resting)
    for side in ("requester", "provider"):
        op.create_index(f"ix_scenario_grant_{side}", "scenario_grant", [f"{side}_id", "granted_at", "grant_id"])
