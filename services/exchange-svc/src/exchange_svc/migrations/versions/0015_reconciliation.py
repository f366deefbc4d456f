"""Cases of accounts that differ from this node's."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_ANY_GRANT = sa.text("coalesce(grant_id, '00000000-0000-0000-0000-000000000000')")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "reconciliation_case",
        sa.Column("case_id", sa.Uuid, primary_key=True),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("grant_id", sa.Uuid),
        sa.Column("organization_id", sa.Uuid, nullable=False),
        sa.Column("organization", JSONB, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("told", JSONB, nullable=False),
        sa.Column("held", JSONB, nullable=False),
        sa.Column("difference_count", sa.BigInteger, nullable=False),
        sa.Column("differences", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("settled_at", _TIME),
        sa.Column("settled_by", sa.Text),
        sa.Column("explanation", sa.Text),
    )
    one_open = sa.text("state = 'open'")
    about: list[str | sa.TextClause] = ["resource_id", _ANY_GRANT, "side", "since", "until"]
    op.create_index("uq_reconciliation_case_open", "reconciliation_case", about, unique=True, postgresql_where=one_open)
    for name in ("organization", "provider"):
        op.create_index(f"ix_reconciliation_case_{name}", "reconciliation_case", [f"{name}_id", "opened_at", "case_id"])
