"""Rows that a grant's filter does not let out."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("ledger_delivery", sa.Column("filtered_count", sa.BigInteger))
