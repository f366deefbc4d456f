"""Keys that readers of filtered views were told are gone, beside the rows of a snapshot."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("delivery", sa.Column("vanished_count", sa.BigInteger, nullable=False, server_default="0"))
