"""Which resources were told to be stale."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it."""
    op.create_table(
        "resource_staleness",
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id"), primary_key=True),
        sa.Column("newest_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
    )
