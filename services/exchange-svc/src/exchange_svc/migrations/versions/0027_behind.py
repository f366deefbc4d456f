"""Subscribers that were told to be behind."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "subscriber_behind",
        sa.Column("grant_id", sa.Uuid, sa.ForeignKey("grant.grant_id"), primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
    )
