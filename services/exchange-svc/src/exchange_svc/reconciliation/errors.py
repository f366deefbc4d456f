"""Problems of reconciliation."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class WindowInvalid(Invalid):
    """The window is no window, has not ended, or holds more batches than are compared at once."""

    slug, title = "window-invalid", "The window cannot be reconciled"


class CaseNotFound(NotFound):
    """No such case, or the caller may not know of it."""

    slug, title = "reconciliation-case-not-found", "There is no such case"


class CaseSettled(Conflict):
    """The case was settled before."""

    slug, title = "reconciliation-case-settled", "The case is settled"
