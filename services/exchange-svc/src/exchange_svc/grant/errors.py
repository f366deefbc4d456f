"""Problems of grants and of reading by them."""

from dxmesh_schemas.problem import Conflict, Forbidden, Gone, NotFound


class GrantNotFound(NotFound):
    """No such grant, or the caller may not know of it."""

    slug, title = "grant-not-found", "There is no such grant"


class GrantOver(Forbidden):
    """The grant was terminated or its time is over."""

    slug, title = "grant-over", "The grant is over"


class GrantNotActive(Conflict):
    """The grant was ended before."""

    slug, title = "grant-not-active", "The grant is not active"


class TableVersionGone(Gone):
    """The table version a cursor belongs to is kept no longer."""

    slug, title = "table-version-gone", "This version of the table is kept no longer"
