"""Problems of batches."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound, TooLarge, Unavailable, Unreadable


class BatchNotFound(NotFound):
    """No such batch, or the caller may not know of it."""

    slug, title = "batch-not-found", "There is no such batch"


class BatchConflict(Conflict):
    """The batch id was used before for something else."""

    slug, title = "batch-conflict", "The batch id is taken"


class KeyMissing(Invalid):
    """The kind of the batch needs a business key, and the resource has none."""

    slug, title = "key-missing", "The resource has no key"


class DigestMismatch(Invalid):
    """The body that arrived is not the one its Content-Digest tells of."""

    slug, title = "digest-mismatch", "The body does not match its digest"


class DigestUnreadable(Unreadable):
    """The Content-Digest header is not a digest (RFC 9530)."""

    slug, title = "digest-unreadable", "The digest cannot be read"


class BodyTooLarge(TooLarge):
    """The body is larger than one batch may be."""

    slug, title = "body-too-large", "The body is too large"


class BodyInterrupted(Unreadable):
    """The connection ended before the body did; nothing was kept."""

    slug, title = "body-interrupted", "The body ended early"


class StorageFull(Unavailable):
    """The disk for arriving bodies or for objects is full; nothing was kept."""

    slug, title = "storage-full", "There is no room left"


class AssessmentUnfit(Invalid):
    """An assessment does not fit the batch it names."""

    slug, title = "assessment-unfit", "The assessment does not fit the batch"


class RowsMissing(Unavailable):
    """The object of a batch's rows is not in the store: what needs it waits, and skips nothing, until it is restored."""

    slug, title = "rows-missing", "A batch's rows are not in the object store"
