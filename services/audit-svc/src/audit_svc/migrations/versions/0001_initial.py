"""Create every table of audit-svc, and the empty tree."""

from hashlib import sha256

import sqlalchemy as sa
from alembic import op

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
        "entry",
        sa.Column("index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("logged_at", _TIME, nullable=False),
    )
    op.create_table(
        "tile",
        sa.Column("level", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )
    tree = op.create_table(
        "tree",
        sa.Column("tree_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root_hash", sa.LargeBinary, nullable=False),
        sa.Column("signed_size", sa.BigInteger),
        sa.Column("signed_at", _TIME),
        sa.Column("published_size", sa.BigInteger),
        sa.Column("published_at", _TIME),
        sa.CheckConstraint("tree_id = 1", name="one_tree"),
    )
    op.bulk_insert(tree, [{"tree_id": 1, "size": 0, "root_hash": sha256(b"").digest()}])
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("root_hash", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("signed_at", _TIME, nullable=False),
    )
    op.create_table(
        "event_type",
        sa.Column("event_type", sa.Text, primary_key=True),
        sa.Column("entry_count", sa.BigInteger, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
    )
    op.create_table(
        "ledger_batch",
        sa.Column("batch_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("provider_name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("received_count", sa.BigInteger),
        sa.Column("accepted_count", sa.BigInteger),
        sa.Column("quarantined_count", sa.BigInteger),
        sa.Column("rejected_count", sa.BigInteger),
        sa.Column("received_at", _TIME),
        sa.Column("decided_at", _TIME),
    )
    op.create_index("ix_ledger_batch_provider_id", "ledger_batch", ["provider_id"])
    op.create_table(
        "ledger_delivery",
        sa.Column("batch_id", sa.Uuid, primary_key=True),
        sa.Column("view_id", sa.Uuid, primary_key=True),
        sa.Column("topic", sa.Text),
        sa.Column("ordered_count", sa.BigInteger),
        sa.Column("delivered_count", sa.BigInteger),
        sa.Column("ordered_at", _TIME),
        sa.Column("completed_at", _TIME),
    )
