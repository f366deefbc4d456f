"""Which demand a request came from, and when what it was granted brought its first data."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("sharing_request", sa.Column("first_view_id", sa.Uuid))
    op.add_column("sharing_request", sa.Column("first_data_at", sa.DateTime(timezone=True)))
    op.create_index("ix_sharing_request_first_view", "sharing_request", ["first_view_id"])
    op.create_index("ix_list_entry_owner", "list_entry", ["owner_id", "kind"])
    op.execute('UPDATE sharing_request SET first_view_id = "grant".view_id FROM "grant" WHERE "grant".request_id = sharing_request.request_id')
    op.execute(
        "UPDATE sharing_request SET first_data_at = first.completed_at"
        " FROM (SELECT view_id, min(completed_at) AS completed_at FROM delivery WHERE delivered_count > 0 GROUP BY view_id) AS first"
        " WHERE first.view_id = sharing_request.first_view_id"
    )
