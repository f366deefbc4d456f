"""What can be wrong with an assessment that is asked for, or with the batch it is about."""

from dxmesh_schemas.problem import NotFound


class AssessmentNotFound(NotFound):
    """No such assessment, or the caller may not know of it."""

    slug, title = "assessment-not-found", "There is no such assessment"


class BatchDamaged(Exception):
    """A batch's object is missing, or is not what its event says: not for a retry to mend, so its partition stands still and alarms."""


class TableMissing(Exception):
    """A table version that was told of is not there: removed since, so a newer one is on its way, or lost."""
