"""Rows that were withheld from a delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("ledger_delivery", sa.Column("withheld_count", sa.BigInteger))
