"""What upkeep knows of a table."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; others were told of every version there is so far."""
    op.add_column("resource_table", sa.Column("told_version", sa.BigInteger, nullable=False, server_default="-1"))
    op.execute("UPDATE resource_table SET told_version = version")
    op.add_column("resource_table", sa.Column("tended_version", sa.BigInteger, nullable=False, server_default="-1"))
    op.add_column("resource_table", sa.Column("tended_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()))
