"""The problems of forms."""

from dxmesh_schemas.problem import Conflict, NotFound


class FormNotFound(NotFound):
    """No form has this id, or it is another organization's."""

    slug, title = "form-not-found", "There is no such form"


class FormNameTaken(Conflict):
    """The organization has a form of this name; `form_id` names it."""

    slug, title = "form-name-taken", "The organization has a form of this name"
