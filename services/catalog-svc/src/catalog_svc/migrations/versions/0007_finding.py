"""What tells the search index of every change."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OF_RESOURCES = """
CREATE FUNCTION finding_resource_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN PERFORM pg_notify('finding', OLD.resource_id::text); ELSE PERFORM pg_notify('finding', NEW.resource_id::text); END IF;
  RETURN NULL;
END $$;
"""
_OF_ORGANIZATIONS = """
CREATE FUNCTION finding_organization_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('finding', NEW.organization_id::text); RETURN NULL; END $$;
"""
_RESOURCE = "CREATE TRIGGER finding_resource AFTER INSERT OR UPDATE OR DELETE ON resource FOR EACH ROW EXECUTE FUNCTION finding_resource_notify()"
_ORGANIZATION = """
CREATE TRIGGER finding_organization AFTER UPDATE OF name, uscc, division_code, level ON organization
FOR EACH ROW EXECUTE FUNCTION finding_organization_notify()
"""


def upgrade() -> None:
    """Create two functions and two triggers; the index itself is in memory."""
    for statement in (_OF_RESOURCES, _OF_ORGANIZATIONS, _RESOURCE, _ORGANIZATION):
        op.execute(statement)
