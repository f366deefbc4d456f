"""The problems of entering many resources at once."""

from dxmesh_schemas.problem import Invalid


class ImportInvalid(Invalid):
    """The lines cannot be read as lines: nothing of them was looked at."""

    slug, title = "import-invalid", "The import is not valid"
