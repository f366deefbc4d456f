"""The index of items asks no longer for each item whether its organization is there: its resource has one."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the reference; that to the resource stays, and the resource refers to the organization."""
    op.drop_constraint("item_entry_organization_id_fkey", "item_entry", type_="foreignkey")
