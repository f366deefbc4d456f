"""When a waiting request was last held against its scenario; what a provider says of a grant whose scenario lapsed."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_WAITING = "state IN ('under_review', 'extended') AND scenario_id IS NOT NULL"


def upgrade() -> None:
    """Add the columns and the index of those that wait."""
    op.add_column("sharing_request", sa.Column("scenario_revision", sa.BigInteger))
    op.add_column("sharing_request", sa.Column("scenario_looked_on", sa.Date))
    op.create_index("ix_sharing_request_scenario", "sharing_request", ["scenario_id"], postgresql_where=sa.text(_WAITING))
    op.add_column("scenario_grant", sa.Column("confirmed_at", sa.DateTime(timezone=True)))
    op.add_column("scenario_grant", sa.Column("confirmed_by", sa.Text))
    op.add_column("scenario_grant", sa.Column("confirmation_reason", sa.Text))
