"""Results, the keys they are signed with, and what departments made of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "issuer_key",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("organization_id", sa.Uuid, nullable=False),
        sa.Column("jwk", JSONB, nullable=False),
        sa.Column("registered_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("end_reason", sa.Text),
    )
    op.create_index("ix_issuer_key_organization", "issuer_key", ["organization_id"])
    op.create_table(
        "result",
        sa.Column("result_id", sa.Uuid, primary_key=True),
        sa.Column("issuer_id", sa.Uuid, nullable=False),
        sa.Column("issuer", JSONB, nullable=False),
        sa.Column("kid", sa.Text, sa.ForeignKey("issuer_key.kid"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("statement", JSONB, nullable=False),
        sa.Column("jws", sa.Text, nullable=False),
        sa.Column("shared_with", JSONB),
        sa.Column("issued_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.Column("revocation_reason", sa.Text),
    )
    op.create_index("ix_result_issued", "result", ["issued_at", "result_id"])
    op.create_index("ix_result_subject", "result", ["subject", "issued_at", "result_id"])
    op.create_index("ix_result_issuer", "result", ["issuer_id", "issued_at", "result_id"])
    op.create_table(
        "recognition",
        sa.Column("result_id", sa.Uuid, sa.ForeignKey("result.result_id"), primary_key=True),
        sa.Column("organization_id", sa.Uuid, primary_key=True),
        sa.Column("organization", JSONB, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("recognised_at", _TIME, nullable=False),
    )
