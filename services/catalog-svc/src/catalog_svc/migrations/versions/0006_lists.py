"""The tables of lists."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'a row of % is never changed or removed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$;
"""


def upgrade() -> None:
    """Create them, the index that totals are read from, and the trigger that keeps editions, censuses and histories as they are."""
    op.create_table(
        "list_entry",
        sa.Column("entry_id", sa.Uuid, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("due_on", sa.Date),
        sa.Column("counterpart_id", sa.Uuid, sa.ForeignKey("organization.organization_id")),
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id")),
        sa.Column("system_id", sa.Uuid, sa.ForeignKey("system.system_id")),
        sa.Column("basis", postgresql.JSONB),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.UniqueConstraint("kind", "organization_id", "name_key"),
    )
    op.create_index("list_entry_page", "list_entry", ["kind", "entry_id"])
    op.create_index("ix_list_entry_resource_id", "list_entry", ["resource_id"])
    op.create_table(
        "list_entry_version",
        sa.Column("entry_id", sa.Uuid, sa.ForeignKey("list_entry.entry_id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("snapshot", postgresql.JSONB, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
    )
    op.create_table(
        "edition",
        sa.Column("year", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("resource_count", sa.Integer, nullable=False),
        sa.Column("item_count", sa.Integer, nullable=False),
        sa.Column("shareable_item_count", sa.Integer, nullable=False),
        sa.Column("provider_count", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("content_sha256", sa.Text, nullable=False),
        sa.Column("content_byte_count", sa.Integer, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.Text, nullable=False),
    )
    op.create_table(
        "census",
        sa.Column("census_id", sa.Uuid, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("taken_on", sa.Date, nullable=False),
        sa.Column("lists", postgresql.JSONB, nullable=False),
        sa.Column("departments", postgresql.JSONB, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_by", sa.Text, nullable=False),
    )
    op.create_index(
        "resource_in_force",
        "resource",
        ["organization_id", "system_id", "sharing_type", "item_count", "shareable_item_count"],
        postgresql_where=sa.text("version > 0 AND withdrawn_at IS NULL"),
    )
    op.execute(_REFUSE)
    for table in ("list_entry_version", "edition", "census"):
        op.execute(
            f"CREATE TRIGGER {table}_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
