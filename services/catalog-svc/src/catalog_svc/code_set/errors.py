"""The problems of code sets."""

from dxmesh_schemas.problem import Invalid, NotFound


class CodeSetNotFound(NotFound):
    """No code set, or no version of it, is known by that."""

    slug, title = "code-set-not-found", "There is no such code set"


class CodeSetInvalid(Invalid):
    """A code is wrong, doubled, or all together are too many; `errors` says which."""

    slug, title = "code-set-invalid", "The code set is not valid"
