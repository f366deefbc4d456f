"""The problems of sectors, their main systems and their master data."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class SectorNotFound(NotFound):
    """No sector has this code."""

    slug, title = "sector-not-found", "There is no such sector"


class SectorUnknown(Invalid):
    """The sector that is named is not registered."""

    slug, title = "sector-unknown", "The sector is not registered"


class SectorNameTaken(Conflict):
    """Another sector has this name; `sector` names it."""

    slug, title = "sector-name-taken", "Another sector has this name"


class CapReached(Conflict):
    """The sector has as many as it may; `cap` says how many that is and `present` names them."""

    slug, title = "sector-cap-reached", "The sector has as many as it may"


class CapTooLow(Conflict):
    """The sector has more than the new cap allows; `present` names them."""

    slug, title = "sector-cap-too-low", "The sector has more than that"


class NotInForce(Conflict):
    """Master data are in force: a draft or a withdrawn resource cannot be them."""

    slug, title = "master-data-not-in-force", "The resource is not in force"


class NotMasterData(NotFound):
    """The resource is not among the master data."""

    slug, title = "not-master-data", "The resource is not master data"
