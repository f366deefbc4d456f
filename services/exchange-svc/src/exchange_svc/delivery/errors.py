"""The problems of deliveries: wrong data is parked on the dispatch topic's `.dlt`; what may heal stalls its partition."""

from dxmesh_schemas.problem import TooLarge, Unavailable


class RecordTooLarge(TooLarge):
    """One row makes a record that no topic of the mesh takes."""

    slug, title = "record-too-large", "A row is too large for a record"


class RowsDamaged(Unavailable):
    """The object of a dispatched batch is not the one that was accepted: nothing is skipped until it is."""

    slug, title = "rows-damaged", "A batch's rows are not the ones that were accepted"
