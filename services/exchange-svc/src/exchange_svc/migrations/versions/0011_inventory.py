"""The inventory of exchange channels."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "inventory_channel",
        sa.Column("channel_id", sa.Uuid, primary_key=True),
        sa.Column("organization_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("transport", sa.Text),
        sa.Column("agent", sa.Text),
        sa.Column("resource_id", sa.Uuid),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("last_batch_id", sa.Uuid),
        sa.Column("seen_at", _TIME),
        sa.Column("entered_at", _TIME, nullable=False),
        sa.Column("entered_by", sa.Text, nullable=False),
    )
    op.create_index("ix_inventory_channel_organization", "inventory_channel", ["organization_id", "channel_id"])
    op.create_table(
        "inventory_step",
        sa.Column("step_id", sa.Uuid, primary_key=True),
        sa.Column("channel_id", sa.Uuid, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("resource_id", sa.Uuid),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_index("ix_inventory_step_channel", "inventory_step", ["channel_id", "at"])
