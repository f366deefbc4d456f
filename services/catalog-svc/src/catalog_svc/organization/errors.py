"""The problems of organizations."""

from dxmesh_schemas.problem import Conflict, NotFound


class OrganizationNotFound(NotFound):
    """No organization has this id."""

    slug, title = "organization-not-found", "There is no such organization"


class UsccTaken(Conflict):
    """An organization with this unified social credit code is registered; `organization_id` names it."""

    slug, title = "uscc-taken", "The organization is registered already"
