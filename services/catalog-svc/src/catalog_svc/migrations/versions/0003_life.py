"""The way of a draft into force: its state, its steps, its notice, and the grants a change touches."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; drafts that wait become drafts to be submitted."""
    op.add_column("resource", sa.Column("draft_state", sa.Text))
    op.add_column("resource", sa.Column("effective_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE resource SET draft_state = 'draft' WHERE draft IS NOT NULL")
    op.create_index("ix_resource_effective_at", "resource", ["effective_at"], postgresql_where=sa.text("effective_at IS NOT NULL"))
    op.create_table(
        "resource_step",
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id"), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("detail", postgresql.JSONB),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "grant_in_force",
        sa.Column("grant_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("requester_id", sa.Uuid, nullable=False),
        sa.Column("requester_name", sa.Text, nullable=False),
        sa.Column("items", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("use_until", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_grant_in_force_resource_id", "grant_in_force", ["resource_id"])
