"""Code sets of organizations: whose they are, their drafts, and their retirement."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them; the code sets there are stay the node's."""
    op.add_column("code_set", sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id")))
    op.add_column("code_set", sa.Column("retired_at", sa.DateTime(timezone=True)))
    for name in ("retired_by", "retirement_reason"):
        op.add_column("code_set", sa.Column(name, sa.Text))
    op.create_table(
        "code_set_draft",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id"), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("standard", "parent_set", "leading_source")),
        sa.Column("entries", JSONB, nullable=False),
        sa.Column("entry_count", sa.Integer, nullable=False),
        sa.Column("drafted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("drafted_by", sa.Text, nullable=False),
    )
    op.create_index("ix_code_set_draft_organization_id", "code_set_draft", ["organization_id"])
