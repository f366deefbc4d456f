"""Which lapsed licence or contract of an organization was told."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    op.add_column("organization", sa.Column("told_lapsed", sa.Date))
