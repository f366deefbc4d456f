"""Packages."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "package",
        sa.Column("package_id", sa.Uuid, primary_key=True),
        sa.Column("subscription_id", sa.Uuid, sa.ForeignKey("subscription.subscription_id"), nullable=False),
        sa.Column("grant_id", sa.Uuid, sa.ForeignKey("grant.grant_id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failure", sa.Text),
        sa.Column("object_key", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("byte_count", sa.BigInteger),
        sa.Column("row_count", sa.BigInteger),
        sa.Column("table_version", sa.BigInteger),
        sa.Column("downloads_left", sa.BigInteger, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("made_at", _TIME),
        sa.Column("expires_at", _TIME),
    )
    op.create_index("ix_package_subscription", "package", ["subscription_id", "asked_at", "package_id"])
    op.create_index("ix_package_state", "package", ["state", "asked_at"], postgresql_where=sa.text("state <> 'deleted'"))
