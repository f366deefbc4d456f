"""Readers, and the notice PostgreSQL gives when what they may read changes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table, its indexes and the triggers."""
    op.create_table(
        "reader",
        sa.Column("reader_id", sa.Uuid, primary_key=True),
        sa.Column("organization_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("system_id", sa.Uuid),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("iterations", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("rotated_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
    )
    op.create_index("uq_reader_name", "reader", ["organization_id", "name"], unique=True, postgresql_where=sa.text("revoked_at IS NULL"))
    op.create_index("ix_reader_organization", "reader", ["organization_id", "created_at", "reader_id"])
    op.execute("CREATE FUNCTION reader_notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('reader', ''); RETURN NULL; END $$")
    for table in ("grant", "view", "reader"):
        op.execute(
            f'CREATE TRIGGER reader_notify AFTER INSERT OR UPDATE OR DELETE ON "{table}" FOR EACH STATEMENT EXECUTE FUNCTION reader_notify()'
        )
