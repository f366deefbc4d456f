"""What of a resource an entry is about, and the terms of scenarios with their approvals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them: the entries there are name no items, and their scenarios say no terms."""
    op.add_column("list_entry", sa.Column("items", JSONB, nullable=False, server_default="[]"))
    op.add_column("list_entry", sa.Column("scenario", JSONB))
    op.add_column("list_entry", sa.Column("approvals", JSONB, nullable=False, server_default="[]"))
