"""Problems of grants and of reading by them."""

from dxmesh_schemas.problem import Conflict, Forbidden, Gone, Invalid, NotFound, Unavailable


class GrantNotFound(NotFound):
    """No such grant, or the caller may not know of it."""

    slug, title = "grant-not-found", "There is no such grant"


class ViewNotFound(NotFound):
    """No such view, or it has no such version."""

    slug, title = "view-not-found", "There is no such view"


class GrantOver(Forbidden):
    """The grant was terminated or its time is over."""

    slug, title = "grant-over", "The grant is over"


class GrantIsSuspended(Forbidden):
    """The grant is suspended: nothing can be read by it until it is resumed (GDSR Art. 27)."""

    slug, title = "grant-suspended", "The grant is suspended"


class ModeNotGranted(Forbidden):
    """The grant's rows are not had in this way, or not by this system."""

    slug, title = "mode-not-granted", "The grant does not allow this way"


class TermsInvalid(Invalid):
    """A row filter, mask or another term cannot be; `errors` names each by its JSON pointer."""

    slug, title = "terms-invalid", "The terms cannot be kept"


class GrantNotActive(Conflict):
    """The grant was ended before."""

    slug, title = "grant-not-active", "The grant is not active"


class TableBehind(Unavailable):
    """The table is not yet in the form of the version in force, so the grant's filter cannot be told of its rows."""

    slug, title = "table-behind", "The table is being brought into its new form"


class TableVersionGone(Gone):
    """The table version a cursor belongs to is kept no longer."""

    slug, title = "table-version-gone", "This version of the table is kept no longer"
