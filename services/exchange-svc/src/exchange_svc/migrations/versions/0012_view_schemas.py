"""Where the schema of a masked view's rows is."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; views that are open keep pointing to their resource's schema."""
    op.add_column("view", sa.Column("schema_base", sa.Text))
