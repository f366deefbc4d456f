"""Create every table of quality-svc."""

import sqlalchemy as sa
from alembic import op
from dxmesh_runtime import inbox, outbox
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    outbox.create_v1(op)
    inbox.create_v1(op)
    op.create_table(
        "resource",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("withdrawn_at", _TIME),
    )
    op.create_table(
        "resource_version",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("snapshot", JSONB, nullable=False),
    )
    op.create_table(
        "code_set",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("codes", JSONB, nullable=False),
    )
    op.create_table(
        "resource_table",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("table_key", sa.Text, nullable=False),
        sa.Column("table_version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("advanced_at", _TIME, nullable=False),
    )
    op.create_table(
        "assessment",
        sa.Column("assessment_id", sa.Uuid, primary_key=True),
        sa.Column("batch_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("resource_version", sa.BigInteger, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("received_count", sa.BigInteger, nullable=False),
        sa.Column("quarantined_count", sa.BigInteger, nullable=False),
        sa.Column("accepted", JSONB, nullable=False),
        sa.Column("quarantine", JSONB),
        sa.Column("results", JSONB, nullable=False),
        sa.Column("completed_at", _TIME, nullable=False),
    )
    op.create_index("ix_assessment_resource", "assessment", ["resource_id", "completed_at", "assessment_id"])
    op.create_index("ix_assessment_provider", "assessment", ["provider_id", "completed_at", "assessment_id"])
    op.create_index("ix_assessment_completed", "assessment", ["completed_at", "assessment_id"])
