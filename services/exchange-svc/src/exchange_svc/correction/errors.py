"""Problems of corrections."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class CorrectionNotFound(NotFound):
    """No such correction request, or the caller may not know of it."""

    slug, title = "correction-not-found", "There is no such correction request"


class CorrectionInvalid(Invalid):
    """What is doubted, or how that is answered, cannot be so; `errors` names each fault by its JSON pointer."""

    slug, title = "correction-invalid", "The correction cannot be entered so"


class CorrectionOver(Conflict):
    """The correction request was answered or withdrawn."""

    slug, title = "correction-over", "No answer to the correction request is owed"
