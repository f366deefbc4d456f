"""The problems of censuses."""

from dxmesh_schemas.problem import NotFound


class CensusNotFound(NotFound):
    """No census has this id."""

    slug, title = "census-not-found", "There is no such census"
