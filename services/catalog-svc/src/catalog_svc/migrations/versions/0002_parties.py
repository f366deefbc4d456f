"""Organizations' parents and papers, offices, systems' states, sectors and master data, taxonomies, lineage."""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BASE_DATABASES = (
    ("base-population", "人口库"),
    ("base-legal-entity", "法人库"),
    ("base-geo", "空间地理库"),
    ("base-credit", "信用库"),
    ("base-e-licence", "电子证照库"),
    ("base-real-estate", "不动产库"),
    ("base-social-security", "社保库"),
    ("base-archives", "档案库"),
)
"""八大政务信息资源基础库: what every node begins with; its authority renames, retires or deletes them."""
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create them."""
    _organizations()
    _systems()
    _taxonomies()


def _organizations() -> None:
    op.add_column("organization", sa.Column("parent_id", sa.Uuid, sa.ForeignKey("organization.organization_id")))
    op.add_column("organization", sa.Column("licence", postgresql.JSONB))
    op.add_column("organization", sa.Column("contract", postgresql.JSONB))
    op.create_index("ix_organization_parent_id", "organization", ["parent_id"])
    op.create_table(
        "officer",
        sa.Column("officer_id", sa.Uuid, primary_key=True),
        sa.Column("organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id"), nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("since", sa.Date, nullable=False),
        sa.Column("until", sa.Date),
        sa.Column("appointed_by", sa.Text, nullable=False),
        sa.Column("appointed_at", _TIME, nullable=False),
        sa.Column("ended_by", sa.Text),
        sa.Column("ended_at", _TIME),
        sa.Column("reason", sa.Text),
    )
    op.create_index("ix_officer_organization_id", "officer", ["organization_id"])
    op.create_index("ix_officer_holder", "officer", ["holder"])
    op.create_index(
        "officer_open_cdo", "officer", ["organization_id"], unique=True, postgresql_where=sa.text("role = 'cdo' AND until IS NULL")
    )


def _systems() -> None:
    op.create_table(
        "sector",
        sa.Column("sector", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False, unique=True),
        sa.Column("main_system_cap", sa.Integer, nullable=False),
        sa.Column("master_data_cap", sa.Integer, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
    )
    op.create_table(
        "master_data",
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id"), primary_key=True),
        sa.Column("sector", sa.Text, sa.ForeignKey("sector.sector"), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("marked_by", sa.Text, nullable=False),
        sa.Column("marked_at", _TIME, nullable=False),
    )
    op.create_index("ix_master_data_sector", "master_data", ["sector"])
    # a system of before says nothing of itself: its owner does, and puts it in service
    op.add_column("system", sa.Column("kind", sa.Text, nullable=False, server_default="own"))
    op.add_column("system", sa.Column("state", sa.Text, nullable=False, server_default="planned"))
    op.add_column("system", sa.Column("on_gov_cloud", sa.Boolean))
    op.add_column("system", sa.Column("is_main_system", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("system", sa.Column("sector", sa.Text, sa.ForeignKey("sector.sector")))
    op.create_index("ix_system_sector", "system", ["sector"])
    op.create_table(
        "system_step",
        sa.Column("system_id", sa.Uuid, sa.ForeignKey("system.system_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("at", _TIME, nullable=False),
    )


def _taxonomies() -> None:
    taxonomy = op.create_table(
        "taxonomy",
        sa.Column("taxonomy_id", sa.Uuid, primary_key=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("code_key", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("lead_organization_id", sa.Uuid, sa.ForeignKey("organization.organization_id")),
        sa.Column("parent_id", sa.Uuid, sa.ForeignKey("taxonomy.taxonomy_id")),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("retired_at", _TIME),
        sa.Column("retired_by", sa.Text),
        sa.Column("retirement_reason", sa.Text),
    )
    op.create_index("taxonomy_name", "taxonomy", ["kind", "name_key"], unique=True, postgresql_where=sa.text("retired_at IS NULL"))
    op.create_index("ix_taxonomy_parent_id", "taxonomy", ["parent_id"])
    op.create_table(
        "lineage_edge",
        sa.Column("edge_id", sa.Uuid, primary_key=True),
        sa.Column("resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id"), nullable=False),
        sa.Column("source_resource_id", sa.Uuid, sa.ForeignKey("resource.resource_id")),
        sa.Column("source_taxonomy_id", sa.Uuid, sa.ForeignKey("taxonomy.taxonomy_id")),
        sa.Column("note", sa.Text),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.UniqueConstraint("resource_id", "source_resource_id"),
        sa.UniqueConstraint("resource_id", "source_taxonomy_id"),
        sa.CheckConstraint("(source_resource_id IS NULL) <> (source_taxonomy_id IS NULL)", name="lineage_edge_one_source"),
    )
    op.create_index("ix_lineage_edge_source_resource_id", "lineage_edge", ["source_resource_id"])
    op.create_index("ix_lineage_edge_source_taxonomy_id", "lineage_edge", ["source_taxonomy_id"])
    now = datetime.now(UTC)
    op.bulk_insert(
        taxonomy,
        [
            {
                # the same ids on every node, so that catalogues of several nodes can be laid side by side
                "taxonomy_id": UUID(f"019a0000-0000-7000-8000-0000000b{number:04d}"),
                "code": code,
                "code_key": code,
                "name": name,
                "name_key": name,
                "kind": "base",
                "created_at": now,
                "changed_at": now,
            }
            for number, (code, name) in enumerate(_BASE_DATABASES, 1)
        ],
    )
