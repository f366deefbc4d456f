"""The first tables of catalog-svc."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from dxmesh_runtime import inbox, outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    outbox.create_v1(op)
    inbox.create_v1(op)
    op.create_table(
        "organization",
        sa.Column("organization_id", sa.Uuid, primary_key=True),
        sa.Column("uscc", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("division_code", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "credential",
        sa.Column("client_id", sa.Text, primary_key=True),
        sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id")),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("roles", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("secret_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_credential_organization_id", "credential", ["organization_id"])
    op.create_table(
        "system",
        sa.Column("system_id", sa.Uuid, primary_key=True),
        sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("organization_id", "name_key"),
    )
    op.create_table(
        "resource",
        sa.Column("resource_id", sa.Uuid, primary_key=True),
        sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id"), nullable=False),
        sa.Column("system_id", sa.Uuid, sa.ForeignKey("system.system_id"), nullable=False),
        sa.Column("resource_code", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("definition", postgresql.JSONB),
        sa.Column("draft", postgresql.JSONB),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("sharing_type", sa.Text, nullable=False),
        sa.Column("open_type", sa.Text, nullable=False),
        sa.Column("update_cycle", sa.Text, nullable=False),
        sa.Column("item_count", sa.Integer, nullable=False),
        sa.Column("shareable_item_count", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True)),
        sa.Column("withdrawal_reason", sa.Text),
    )
    op.create_index(
        "resource_name", "resource", ["organization_id", "name_key"], unique=True, postgresql_where=sa.text("state <> 'withdrawn'")
    )
    op.create_index("ix_resource_system_id", "resource", ["system_id"])
    op.create_table(
        "resource_version",
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("snapshot", postgresql.JSONB, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.Text, nullable=False),
    )
    op.create_table(
        "resource_code_number",
        sa.Column("prefix", sa.Text, primary_key=True),
        sa.Column("last_number", sa.Integer, nullable=False),
    )
    op.create_table(
        "code_set",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("code_count", sa.Integer, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "code_set_version",
        sa.Column("name", sa.Text, sa.ForeignKey("code_set.name"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("codes", postgresql.JSONB, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
    )
