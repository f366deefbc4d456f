"""Announced versions, the views opened for them, and what of a delivery was withheld."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table and add the columns."""
    op.create_table(
        "notice",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("snapshot", JSONB, nullable=False),
        sa.Column("touched", JSONB),
        sa.Column("announced_at", _TIME, nullable=False),
        sa.Column("effective_at", _TIME, nullable=False),
    )
    op.add_column("view", sa.Column("form", JSONB))
    op.add_column("view", sa.Column("successor_id", sa.Uuid, sa.ForeignKey("view.view_id")))
    op.create_index("ix_view_successor", "view", ["successor_id"], postgresql_where=sa.text("successor_id IS NOT NULL"))
    op.add_column("delivery", sa.Column("withheld_count", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("delivery", sa.Column("misfits", JSONB, nullable=False, server_default="[]"))
