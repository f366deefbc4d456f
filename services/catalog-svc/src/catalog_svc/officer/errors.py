"""The problems of officers."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class OfficerNotFound(NotFound):
    """The organization has no term of office of this id."""

    slug, title = "officer-not-found", "There is no such term of office"


class OfficerInvalid(Invalid):
    """A rule of offices is broken; `errors` says which and where."""

    slug, title = "officer-invalid", "The term of office is not valid"


class CdoPresent(Conflict):
    """The organization has a chief data officer in that time; `officer_id` names the term."""

    slug, title = "cdo-present", "The organization has a chief data officer"


class OfficeHeld(Conflict):
    """The holder has this office of the organization in that time; `officer_id` names the term."""

    slug, title = "office-held", "The holder has this office already"


class OfficeEnded(Conflict):
    """The term of office is ended."""

    slug, title = "office-ended", "The term of office is ended"
