"""What an entry of the negative list forbids."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; the entries there are forbid sharing, as the list said until now."""
    op.add_column("list_entry", sa.Column("forbids", sa.Text))
    op.execute("UPDATE list_entry SET forbids = 'sharing' WHERE kind = 'negative'")
