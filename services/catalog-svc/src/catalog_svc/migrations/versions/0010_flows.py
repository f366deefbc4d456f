"""What reports of flows are made from: rows of the newest batch, and the newest delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them; of batches that were told before, the rows stay unknown."""
    op.add_column("resource_arrival", sa.Column("row_count", sa.Integer))
    op.create_table(
        "resource_outflow",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=False),
    )
