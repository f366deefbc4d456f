"""Create every table of exchange-svc."""

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
        "organization",
        sa.Column("organization_id", sa.Uuid, primary_key=True),
        sa.Column("uscc", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("division_code", sa.Text, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
    )
    op.create_table(
        "resource",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("snapshot", JSONB, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("withdrawn_at", _TIME),
    )
    op.create_index("ix_resource_provider", "resource", ["provider_id"])
    op.create_table(
        "resource_version",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("snapshot", JSONB, nullable=False),
    )
    op.create_table(
        "batch",
        sa.Column("batch_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("resource_version", sa.BigInteger, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("provider", JSONB, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("body_sha256", sa.Text, nullable=False),
        sa.Column("body_byte_count", sa.BigInteger, nullable=False),
        sa.Column("received_count", sa.BigInteger, nullable=False),
        sa.Column("refused_row_count", sa.BigInteger, nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("acknowledgement", sa.Text, nullable=False),
        sa.Column("rows", JSONB, nullable=False),
        sa.Column("refused", JSONB),
        sa.Column("assessment_id", sa.Uuid),
        sa.Column("assessed_at", _TIME),
        sa.Column("accepted_count", sa.BigInteger),
        sa.Column("quarantined_count", sa.BigInteger),
        sa.Column("rejected_count", sa.BigInteger),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.Column("accepted_rows", JSONB),
        sa.Column("quarantine", JSONB),
        sa.UniqueConstraint("resource_id", "sequence", name="uq_batch_resource_sequence"),
    )
    op.create_index("ix_batch_resource_received", "batch", ["resource_id", "received_at", "batch_id"])
    op.create_index("ix_batch_received", "batch", ["received_at"])
    op.create_table(
        "sharing_request",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("resource_version", sa.BigInteger, nullable=False),
        sa.Column("requester_id", sa.Uuid, nullable=False),
        sa.Column("requester", JSONB, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("provider", JSONB, nullable=False),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("legal_basis", sa.Text, nullable=False),
        sa.Column("scenario", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("use_until", _TIME),
        sa.Column("approved_by", sa.Text, nullable=False),
        sa.Column("sharing_type", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("submitted_at", _TIME, nullable=False),
        sa.Column("decided_at", _TIME),
        sa.Column("decided_by", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("grant_id", sa.Uuid),
    )
    op.create_index("ix_sharing_request_requester", "sharing_request", ["requester_id", "submitted_at", "request_id"])
    op.create_index("ix_sharing_request_provider", "sharing_request", ["provider_id", "submitted_at", "request_id"])
    op.create_table(
        "view",
        sa.Column("view_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("resource_version", sa.BigInteger, nullable=False),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME),
    )
    op.create_index("uq_view_open_identity", "view", ["resource_id", "identity"], unique=True, postgresql_where=sa.text("closed_at IS NULL"))
    op.create_table(
        "grant",
        sa.Column("grant_id", sa.Uuid, primary_key=True),
        sa.Column("request_id", sa.Uuid, sa.ForeignKey("sharing_request.request_id"), nullable=False, unique=True),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("requester_id", sa.Uuid, nullable=False),
        sa.Column("requester", JSONB, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("view_id", sa.Uuid, sa.ForeignKey("view.view_id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("use_until", _TIME),
        sa.Column("activated_at", _TIME, nullable=False),
        sa.Column("terminated_at", _TIME),
        sa.Column("termination_reason", sa.Text),
    )
    op.create_index("ix_grant_requester", "grant", ["requester_id", "activated_at", "grant_id"])
    op.create_index("ix_grant_provider", "grant", ["provider_id", "activated_at", "grant_id"])
    op.create_index("ix_grant_view", "grant", ["view_id"])
    op.create_table(
        "delivery",
        sa.Column("batch_id", sa.Uuid, primary_key=True),
        sa.Column("view_id", sa.Uuid, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("ranges", JSONB, nullable=False),
        sa.Column("accepted_count", sa.BigInteger, nullable=False),
        sa.Column("delivered_count", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("completed_at", _TIME, nullable=False),
    )
    op.create_table(
        "resource_table",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("table_key", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("advanced_at", _TIME, nullable=False),
    )
