"""What is said of each code: dated entries of code sets, by version and source."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# a code that stands in several versions in a row is one entry (gaps and islands)
_ENTRIES_OF_PLAIN_LISTS = """
INSERT INTO code_set_entry (name, code, source, is_retired, successors, from_version, until_version)
SELECT run.name, run.code, '', false, '{}', min(run.version),
       CASE WHEN max(run.version) = code_set.version THEN NULL ELSE max(run.version) + 1 END
FROM (
    SELECT v.name, v.version, c.code, c.place,
           v.version - row_number() OVER (PARTITION BY v.name, c.code ORDER BY v.version) AS island
    FROM code_set_version v CROSS JOIN LATERAL jsonb_array_elements_text(v.codes) WITH ORDINALITY AS c(code, place)
) run JOIN code_set ON code_set.name = run.name
GROUP BY run.name, run.code, run.island, code_set.version
ORDER BY run.name, min(run.version), min(run.place)
"""


def upgrade() -> None:
    """Create them, and make the entries of the plain lists there are."""
    op.add_column("code_set", sa.Column("kind", sa.Text, nullable=False, server_default="own"))
    op.add_column("code_set_version", sa.Column("kind", sa.Text, nullable=False, server_default="own"))
    for name in ("standard", "parent_set", "leading_source", "published_by"):
        op.add_column("code_set_version", sa.Column(name, sa.Text))
    op.add_column("code_set_version", sa.Column("codes_on", sa.Date))
    op.add_column("code_set_version", sa.Column("entry_count", sa.Integer))
    op.execute(
        "UPDATE code_set_version SET codes_on = (published_at AT TIME ZONE 'Asia/Shanghai')::date, entry_count = jsonb_array_length(codes)"
    )
    op.alter_column("code_set_version", "codes_on", nullable=False)
    op.alter_column("code_set_version", "entry_count", nullable=False)
    op.create_table(
        "code_set_entry",
        sa.Column("entry_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, sa.ForeignKey("code_set.name"), nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("parent", sa.Text),
        sa.Column("valid_from", sa.Date),
        sa.Column("valid_until", sa.Date),
        sa.Column("is_retired", sa.Boolean, nullable=False),
        sa.Column("successors", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("from_version", sa.Integer, nullable=False),
        sa.Column("until_version", sa.Integer),
    )
    op.create_index("ix_code_set_entry_name_code", "code_set_entry", ["name", "code"])
    op.create_index("ix_code_set_entry_name_parent", "code_set_entry", ["name", "parent"])
    op.execute(_ENTRIES_OF_PLAIN_LISTS)
