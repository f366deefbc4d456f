"""Problems of uploads."""

from dxmesh_schemas.problem import Conflict, Gone, Invalid, NotFound, Problem, TooMany, Unreadable, UnsupportedMedia


class UploadNotFound(NotFound):
    """No such upload, or the caller may not know of it."""

    slug, title = "upload-not-found", "There is no such upload"


class UploadExpired(Gone):
    """The upload was not finished in time, and what had arrived is removed."""

    slug, title = "upload-expired", "The upload has expired"


class UploadRefused(Invalid):
    """Every byte arrived, and the file was refused as a push of it would be; `cause` is the problem."""

    slug, title = "upload-refused", "The file was refused"


class UploadsTooMany(TooMany):
    """An organization has as many unfinished uploads as it may."""

    slug, title = "uploads-too-many", "Too many uploads are unfinished"


class OffsetConflict(Conflict):
    """The part does not begin where the upload stands."""

    slug, title = "offset-conflict", "The offset is another"


class UploadBusy(Problem):
    """Another request is writing this upload, or reading what it holds."""

    status, slug, title = 423, "upload-busy", "The upload is in use"


class ProtocolUnsupported(Problem):
    """The request does not speak tus 1.0.0."""

    status, slug, title = 412, "tus-version", "The version of tus is not supported"


class HeaderUnreadable(Unreadable):
    """A header of tus is missing or not of its form."""

    slug, title = "tus-header", "A header of the upload cannot be read"


class PartUnsupported(UnsupportedMedia):
    """A part of an upload is sent as something else than bytes at an offset."""

    slug, title = "part-unsupported", "The content type is not that of a part"


class ChecksumMismatch(Problem):
    """A part is not the one its checksum tells of; it was not kept."""

    status, slug, title = 460, "checksum-mismatch", "The part does not match its checksum"
