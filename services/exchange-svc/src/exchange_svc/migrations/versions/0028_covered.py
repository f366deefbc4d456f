"""Which of the doubted records a correcting batch has."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the counts."""
    for name in ("covered_count", "uncovered_count", "other_row_count"):
        op.add_column("correction", sa.Column(name, sa.BigInteger))
