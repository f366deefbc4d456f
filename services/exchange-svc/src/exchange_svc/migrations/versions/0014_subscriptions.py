"""Subscriptions, and the messages of webhooks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.Uuid, primary_key=True),
        sa.Column("grant_id", sa.Uuid, sa.ForeignKey("grant.grant_id"), nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("settings", JSONB, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("place", JSONB, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("start_at", _TIME),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("delivered_at", _TIME),
        sa.Column("failing_since", _TIME),
        sa.Column("failure", sa.Text),
        sa.Column("failure_count", sa.BigInteger, nullable=False),
        sa.Column("next_attempt_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
    )
    op.create_index("ix_subscription_grant", "subscription", ["grant_id", "created_at", "subscription_id"])
    op.create_index("ix_subscription_open", "subscription", ["mode"], postgresql_where=sa.text("state <> 'ended'"))
    op.create_table(
        "webhook_message",
        sa.Column("message_id", sa.Uuid, primary_key=True),
        sa.Column("subscription_id", sa.Uuid, sa.ForeignKey("subscription.subscription_id"), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("ranges", JSONB, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("byte_count", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("delivered_at", _TIME),
        sa.Column("abandoned_at", _TIME),
    )
    op.create_index("ix_webhook_message_subscription", "webhook_message", ["subscription_id", "created_at", "message_id"])
    waiting = sa.text("delivered_at IS NULL AND abandoned_at IS NULL")
    op.create_index("uq_webhook_message_waiting", "webhook_message", ["subscription_id"], unique=True, postgresql_where=waiting)
    op.create_table(
        "webhook_attempt",
        sa.Column("message_id", sa.Uuid, sa.ForeignKey("webhook_message.message_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("attempted_at", _TIME, nullable=False),
        sa.Column("status", sa.BigInteger),
        sa.Column("failure", sa.Text),
        sa.Column("elapsed_ms", sa.BigInteger, nullable=False),
    )
