"""What base databases, domain warehouses and theme databases a resource belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# one notice a statement: the search index reads all entries of taxonomies again, they are few
_OF_TAXONOMIES = """
CREATE FUNCTION finding_taxonomy_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('finding', 'taxonomy'); RETURN NULL; END $$;
"""
_TAXONOMY = """
CREATE TRIGGER finding_taxonomy AFTER INSERT OR UPDATE OR DELETE ON taxonomy
FOR EACH STATEMENT EXECUTE FUNCTION finding_taxonomy_notify()
"""


def upgrade() -> None:
    """Add the column; resources of before belong to none until their stewards say so."""
    op.add_column("resource", sa.Column("taxonomies", sa.ARRAY(sa.Text), nullable=False, server_default="{}"))
    op.execute(_OF_TAXONOMIES)
    op.execute(_TAXONOMY)
