"""Calls of shared APIs, their hours and rates; and whose systems there are."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def _who() -> list[sa.Column[Any]]:
    return [
        sa.Column("grant_id", sa.Uuid, nullable=False),
        sa.Column("api", sa.Text, nullable=False),
        *(sa.Column(f"{name}_id", sa.Uuid, nullable=False) for name in ("resource", "provider", "requester")),
        sa.Column("system_id", sa.Uuid),
        sa.Column("subject", sa.Text, nullable=False),
    ]


def _counts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(f"{name}_count", sa.BigInteger, nullable=False) for name in names]


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "system",
        sa.Column("system_id", sa.Uuid, primary_key=True),
        sa.Column("organization_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("is_retired", sa.Boolean, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
    )
    op.create_table(
        "api_call",
        sa.Column("call_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *_who(),
        sa.Column("refused", sa.Text),
        *_counts("row", "question"),
        sa.Column("called_at", _TIME, nullable=False),
    )
    op.create_table(
        "api_hour",
        sa.Column("hour_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("hour", _TIME, nullable=False),
        *_who(),
        *_counts("call", "refused", "row", "question"),
        sa.Column("last_called_at", _TIME, nullable=False),
        sa.Column("told_at", _TIME),
    )
    op.create_index("ix_api_hour_resource", "api_hour", ["resource_id", "hour"])
    op.create_index("ix_api_hour_requester", "api_hour", ["requester_id", "hour"])
    op.create_index("ix_api_hour_untold", "api_hour", ["hour"], postgresql_where=sa.text("told_at IS NULL"))
    columns = ["hour", "grant_id", "api", "system_id", "subject"]
    op.create_index("uq_api_hour", "api_hour", columns, unique=True, postgresql_nulls_not_distinct=True)
    op.create_table(
        "api_rate",
        sa.Column("grant_id", sa.Uuid, primary_key=True),
        sa.Column("minute", _TIME, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
    )
