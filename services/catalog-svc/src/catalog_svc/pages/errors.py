"""The problems of the pages' forms."""

from dxmesh_schemas.problem import Forbidden


class ForeignForm(Forbidden):
    """A form came from a page that is not this catalogue's: another site may not act in a reader's name."""

    slug, title = "foreign-form", "The form was not sent from a page of this catalogue"
