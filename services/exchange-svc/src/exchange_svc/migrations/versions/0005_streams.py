"""Streams of rows, and how far each is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "stream",
        sa.Column("provider_id", sa.Uuid, primary_key=True),
        sa.Column("stream_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("last_number", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("last_batch_id", sa.Uuid),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("advanced_at", _TIME),
    )
