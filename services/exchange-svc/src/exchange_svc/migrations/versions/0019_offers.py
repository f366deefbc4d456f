"""What approved scenarios offer to the organizations they name."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "offer",
        sa.Column("offer_id", sa.Uuid, primary_key=True),
        sa.Column("scenario_id", sa.Uuid, nullable=False),
        sa.Column("scenario", sa.Text, nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("requester_id", sa.Uuid, nullable=False),
        sa.Column("requester", JSONB, nullable=False),
        sa.Column("provider", JSONB, nullable=False),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("purposes", JSONB, nullable=False),
        sa.Column("offered_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("request_id", sa.Uuid),
        sa.UniqueConstraint("scenario_id", "resource_id", "requester_id", name="uq_offer_place"),
    )
    op.create_index("ix_offer_requester", "offer", ["requester_id", "offered_at", "offer_id"])
