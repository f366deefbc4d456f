"""The problems of searching."""

from dxmesh_schemas.problem import Unavailable


class IndexNotReady(Unavailable):
    """The process has not loaded the catalogue into its search index yet."""

    slug, title = "search-index-not-ready", "The search index is being loaded"
