"""The tables of sources: the index of items, synonyms, claims, arbitration cases, forms."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _organization(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Uuid, sa.ForeignKey("organization.organization_id"), nullable=False)


def _resource(name: str, *, primary_key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Uuid, sa.ForeignKey("resource.resource_id"), primary_key=primary_key, nullable=False)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "item_name",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("head", sa.Text, nullable=False),
        sa.Column("key_length", sa.Integer, nullable=False),
    )
    op.create_index("item_name_head", "item_name", ["head", "key_length"])
    op.create_table(
        "item_token",
        sa.Column("token", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
    )
    op.create_table(
        "item_entry",
        _resource("resource_id", primary_key=True),
        sa.Column("item", sa.Text, primary_key=True),
        sa.Column("resource_version", sa.Integer, nullable=False),
        _organization("organization_id"),
        sa.Column("division_code", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("plain", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("head", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("format", sa.Text),
        sa.Column("code_set", sa.Text),
        sa.Column("length", sa.Integer),
        sa.Column("sharing_type", sa.Text, nullable=False),
        sa.Column("is_reference", sa.Boolean, nullable=False),
        sa.Column("is_vague", sa.Boolean, nullable=False),
    )
    op.create_index("ix_item_entry_key", "item_entry", ["key"])
    op.create_index("ix_item_entry_organization_id", "item_entry", ["organization_id"])
    op.create_index(
        "item_entry_collected",
        "item_entry",
        ["division_code", "key", "kind", "organization_id"],
        postgresql_where=sa.text("NOT is_vague AND NOT is_reference"),
    )
    op.create_table(
        "synonym",
        sa.Column("term", sa.Text, primary_key=True),
        sa.Column("concept", sa.Text, nullable=False),
        sa.Column("entered_by", sa.Text, nullable=False),
        _moment("entered_at"),
    )
    op.create_table(
        "source_claim",
        sa.Column("claim_id", sa.Uuid, primary_key=True),
        sa.Column("division_code", sa.Text, nullable=False),
        _organization("organization_id"),
        _resource("resource_id"),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("item_name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("case_id", sa.Uuid),
        sa.Column("claimed_by", sa.Text, nullable=False),
        _moment("claimed_at"),
        _moment("released_at", nullable=True),
        sa.Column("release_reason", sa.Text),
    )
    op.create_index("source_claim_held", "source_claim", ["resource_id", "item"], unique=True, postgresql_where=sa.text("state = 'held'"))
    op.create_index("source_claim_division", "source_claim", ["division_code"], postgresql_where=sa.text("state = 'held'"))
    op.create_index("ix_source_claim_organization_id", "source_claim", ["organization_id"])
    op.create_table(
        "arbitration_case",
        sa.Column("case_id", sa.Uuid, primary_key=True),
        sa.Column("division_code", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        _organization("claimant_organization_id"),
        _resource("claimant_resource_id"),
        sa.Column("claimant_item", sa.Text, nullable=False),
        sa.Column("claimant_item_name", sa.Text, nullable=False),
        sa.Column("holder_claim_id", sa.Uuid, sa.ForeignKey("source_claim.claim_id"), nullable=False),
        _organization("holder_organization_id"),
        _resource("holder_resource_id"),
        sa.Column("holder_item", sa.Text, nullable=False),
        sa.Column("holder_item_name", sa.Text, nullable=False),
        sa.Column("similarity", sa.Float, nullable=False),
        sa.Column("reasons", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("opened_by", sa.Text, nullable=False),
        _moment("opened_at"),
        sa.Column("outcome", sa.Text),
        sa.Column("decision_reason", sa.Text),
        sa.Column("decided_by", sa.Text),
        _moment("decided_at", nullable=True),
    )
    op.create_index(
        "arbitration_case_open",
        "arbitration_case",
        ["claimant_resource_id", "claimant_item", "holder_claim_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("arbitration_case_claimant", "arbitration_case", ["claimant_resource_id", "claimant_item"])
    op.create_index("arbitration_case_holder", "arbitration_case", ["holder_resource_id", "holder_item"])
    op.create_table(
        "arbitration_statement",
        sa.Column("statement_id", sa.Uuid, primary_key=True),
        sa.Column("case_id", sa.Uuid, sa.ForeignKey("arbitration_case.case_id"), nullable=False),
        _organization("organization_id"),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        _moment("made_at"),
    )
    op.create_index("ix_arbitration_statement_case_id", "arbitration_statement", ["case_id"])
    op.create_table(
        "form",
        sa.Column("form_id", sa.Uuid, primary_key=True),
        _organization("organization_id"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("items", postgresql.JSONB, nullable=False),
        sa.Column("findings", postgresql.JSONB, nullable=False),
        sa.Column("held_count", sa.Integer, nullable=False),
        sa.Column("withheld_count", sa.Integer, nullable=False),
        sa.Column("doubtful_count", sa.Integer, nullable=False),
        sa.Column("new_count", sa.Integer, nullable=False),
        sa.Column("entered_by", sa.Text, nullable=False),
        _moment("entered_at"),
        _moment("matched_at"),
        sa.UniqueConstraint("organization_id", "name_key"),
    )
