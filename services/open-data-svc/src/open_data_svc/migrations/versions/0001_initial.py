"""Create every table of open-data-svc."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from dxmesh_runtime import inbox, outbox

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
        sa.Column("version", sa.BigInteger),
        sa.Column("snapshot", JSONB),
        sa.Column("withdrawn_at", _TIME),
        sa.Column("withdrawn_reason", sa.Text),
        sa.Column("table_key", sa.Text),
        sa.Column("table_version", sa.BigInteger),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("advanced_at", _TIME),
    )
    op.create_table(
        "dataset",
        sa.Column("dataset_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("publisher_id", sa.Uuid, nullable=False),
        sa.Column("publisher", sa.Text, nullable=False),
        sa.Column("publisher_code", sa.Text, nullable=False),
        sa.Column("theme", sa.Text),
        sa.Column("update_cycle", sa.Text, nullable=False),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("item_count", sa.BigInteger, nullable=False),
        sa.Column("search_text", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("first_published_at", _TIME, nullable=False),
        sa.Column("refreshed_at", _TIME, nullable=False),
        sa.Column("retired_at", _TIME),
        sa.Column("retired_reason", sa.Text),
    )
    op.create_index("ix_dataset_open", "dataset", ["state", "refreshed_at"])
    op.create_index("ix_dataset_publisher", "dataset", ["publisher_id"])
    op.create_table(
        "dataset_version",
        sa.Column("dataset_id", sa.Uuid, sa.ForeignKey("dataset.dataset_id"), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("resource_version", sa.BigInteger, nullable=False),
        sa.Column("table_version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("published_at", _TIME, nullable=False),
        sa.Column("removed_at", _TIME),
    )
    op.create_table(
        "dataset_file",
        sa.Column("dataset_id", sa.Uuid, sa.ForeignKey("dataset.dataset_id"), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("format", sa.Text, primary_key=True),
        sa.Column("object_key", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("byte_count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "distribution",
        sa.Column("distribution_id", sa.Uuid, primary_key=True),
        sa.Column("dataset_id", sa.Uuid, sa.ForeignKey("dataset.dataset_id"), nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("use_count", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index("ix_distribution_dataset_id", "distribution", ["dataset_id"])
