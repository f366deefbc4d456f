"""What requesters record of their use of shared data."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "use_record",
        sa.Column("use_id", sa.Uuid, primary_key=True),
        sa.Column("grant_id", sa.Uuid, sa.ForeignKey("grant.grant_id"), nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("requester_id", sa.Uuid, nullable=False),
        sa.Column("requester", JSONB, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("first_on", sa.Date, nullable=False),
        sa.Column("last_on", sa.Date, nullable=False),
        sa.Column("use", JSONB, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text, nullable=False),
        sa.UniqueConstraint("grant_id", "first_on", "last_on", name="uq_use_record"),
    )
    for party in ("requester", "provider"):
        op.create_index(f"ix_use_record_{party}", "use_record", [f"{party}_id", "recorded_at", "use_id"])
