"""Problems of tables at the requester's."""

from dxmesh_schemas.problem import Invalid


class TableUnfit(Invalid):
    """The table cannot hold the rows as it is; `errors` names each column and what it would have to be."""

    slug, title = "table-unfit", "The table cannot hold the rows"


class DatabaseAway(Invalid):
    """The database could not be entered with what was given."""

    slug, title = "database-away", "The database cannot be entered"
