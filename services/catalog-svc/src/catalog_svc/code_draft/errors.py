"""The problems of drafts of code sets."""

from dxmesh_schemas.problem import Conflict, NotFound


class CodeDraftNotFound(NotFound):
    """There is no draft of a code set by this name, or it is another organization's."""

    slug, title = "code-draft-not-found", "There is no such draft of a code set"


class CodeDraftsFull(Conflict):
    """The organization keeps as many drafts of code sets as it may."""

    slug, title = "code-drafts-full", "The organization has too many drafts of code sets"
