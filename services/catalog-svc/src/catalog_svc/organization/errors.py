"""The problems of organizations."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class OrganizationNotFound(NotFound):
    """No organization has this id."""

    slug, title = "organization-not-found", "There is no such organization"


class OrganizationInvalid(Invalid):
    """A rule of organizations is broken; `errors` says which and where."""

    slug, title = "organization-invalid", "The organization's entry is not valid"


class PaperNotGood(Conflict):
    """The licence or contract by which the provider's data are had is missing or has lapsed; `organization_id` names the provider."""

    slug, title = "paper-not-good", "The provider's licence or contract is not good"


class UsccTaken(Conflict):
    """An organization with this unified social credit code is registered; `organization_id` names it."""

    slug, title = "uscc-taken", "The organization is registered already"
