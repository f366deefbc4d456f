"""The problems of sources."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class SourceHeld(Conflict):
    """Another item is the division's source of this data element; `holder` names it, `arbitration` says how to have it decided."""

    slug, title = "source-held", "The data element has its source already"


class ClaimNotFound(NotFound):
    """No claim has this id."""

    slug, title = "source-claim-not-found", "There is no such source"


class ClaimInvalid(Invalid):
    """The item cannot be the source of a data element."""

    slug, title = "source-claim-invalid", "The item cannot be a source"


class ClaimReleased(Conflict):
    """The claim was released before; `released_at` says when."""

    slug, title = "source-claim-released", "The source was released already"
