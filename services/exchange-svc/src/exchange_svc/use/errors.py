"""Problems of records of use."""

from dxmesh_schemas.problem import Conflict, Invalid


class UseInvalid(Invalid):
    """What is recorded of a use does not fit its grant."""

    slug, title = "use-invalid", "The record of use is not valid"


class UseRecorded(Conflict):
    """Another record of the same days was filed before, and records are kept as they were filed."""

    slug, title = "use-recorded", "The use of these days is recorded already"
