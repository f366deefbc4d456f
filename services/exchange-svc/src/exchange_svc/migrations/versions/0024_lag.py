"""How far views and their readers are: where the rows of each topic end, and how far a requester came for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_ENDS = """
    INSERT INTO view_end (view_id, ends)
    SELECT view_id, jsonb_object_agg(partition, last) FROM (
        SELECT view_id, part ->> 0 AS partition, max((part ->> 2)::bigint) AS last
        FROM delivery CROSS JOIN LATERAL jsonb_array_elements(ranges) AS part GROUP BY 1, 2
    ) AS ended GROUP BY view_id
"""


def upgrade() -> None:
    """Create the tables, the index that deliveries of a view are read by, and the ends of the topics there are."""
    op.create_table("view_end", sa.Column("view_id", sa.Uuid, primary_key=True), sa.Column("ends", JSONB, nullable=False))
    op.create_table(
        "reading",
        sa.Column("grant_id", sa.Uuid, sa.ForeignKey("grant.grant_id"), primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("place", JSONB, nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("package", sa.Column("sequence", sa.BigInteger))
    op.create_index("ix_delivery_view", "delivery", ["view_id", "sequence"])
    op.execute(_ENDS)
