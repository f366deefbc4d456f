"""The problems of synonyms."""

from dxmesh_schemas.problem import Invalid, NotFound


class SynonymNotFound(NotFound):
    """The node has no synonym of its own for this term."""

    slug, title = "synonym-not-found", "There is no such synonym"


class SynonymInvalid(Invalid):
    """The term or what it means cannot be compared with a name."""

    slug, title = "synonym-invalid", "The synonym is not valid"
