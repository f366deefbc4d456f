"""Problems of offers."""

from dxmesh_schemas.problem import Conflict, NotFound


class OfferNotFound(NotFound):
    """No such offer, or it is another's."""

    slug, title = "offer-not-found", "There is no such offer"


class OfferOver(Conflict):
    """The offer was accepted before, or its scenario covers this no more."""

    slug, title = "offer-over", "The offer is over"
