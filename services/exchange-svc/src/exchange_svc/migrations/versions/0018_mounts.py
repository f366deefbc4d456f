"""Where resources are reached at their providers."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "resource_mount",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("kind", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("confirmed_at", _TIME),
        sa.Column("changed_at", _TIME, nullable=False),
    )
