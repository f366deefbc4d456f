"""Terms of grants, the whole way of a request, and what becomes of a grant."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns."""
    for name in ("where", "masks"):
        op.add_column("view", sa.Column(name, JSONB, nullable=False, server_default="[]"))
    op.add_column("view", sa.Column("scope", sa.Uuid))
    op.add_column("delivery", sa.Column("filtered_count", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("grant", sa.Column("terms", JSONB, nullable=False, server_default="{}"))
    for name in ("suspended_at", "expired_at", "disposed_at"):
        op.add_column("grant", sa.Column(name, _TIME))
    op.add_column("grant", sa.Column("suspension_reason", sa.Text))
    op.add_column("grant", sa.Column("remedy_until", sa.Date))
    op.add_column("grant", sa.Column("disposal", JSONB))
    ending = sa.text("use_until IS NOT NULL AND expired_at IS NULL")
    op.create_index("ix_grant_use_until", "grant", ["use_until"], postgresql_where=ending)
    op.create_index("ix_grant_delivering", "grant", ["resource_id"], postgresql_where=sa.text("state = 'delivering'"))
    op.add_column("sharing_request", sa.Column("terms", JSONB, nullable=False, server_default="{}"))
    op.add_column("sharing_request", sa.Column("created_at", _TIME))
    op.execute("UPDATE sharing_request SET created_at = submitted_at")
    op.alter_column("sharing_request", "created_at", nullable=False)
    for name in ("submitted_at", "approved_by"):
        op.alter_column("sharing_request", name, nullable=True)
    for name in ("approved_at", "missing_asked_at", "supplied_at"):
        op.add_column("sharing_request", sa.Column(name, _TIME))
    op.add_column("sharing_request", sa.Column("supplied", sa.Text))
    for name in ("missing", "extension"):
        op.add_column("sharing_request", sa.Column(name, JSONB))
    for side in ("requester", "provider"):
        op.drop_index(f"ix_sharing_request_{side}", "sharing_request")
        op.create_index(f"ix_sharing_request_{side}", "sharing_request", [f"{side}_id", "created_at", "request_id"])
