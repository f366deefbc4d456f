"""The problems of code sets."""

from dxmesh_schemas.problem import Conflict, Forbidden, Invalid, NotFound, TooLarge


class CodeSetNotFound(NotFound):
    """No code set, or no version of it, is known by that."""

    slug, title = "code-set-not-found", "There is no such code set"


class CodeNotFound(NotFound):
    """The code set has no such code, in force or retired."""

    slug, title = "code-not-found", "The code set has no such code"


class ShippedSetNotFound(NotFound):
    """No code set of that name comes with the service."""

    slug, title = "shipped-code-set-not-found", "No such code set is shipped"


class CodeSetInvalid(Invalid):
    """A code is wrong, doubled, or all together are too many; `errors` says which."""

    slug, title = "code-set-invalid", "The code set is not valid"


class CodeSetForeign(Forbidden):
    """The name stands in another's name space; `begins_with` is how the caller's own names begin, none for the node's."""

    slug, title = "code-set-foreign", "The code set's name is another's to give"


class CodeSetIsRetired(Conflict):
    """A retired code set stays as it was, and its name is not given again."""

    slug, title = "code-set-retired", "The code set is retired"


class CodeFileTooLarge(TooLarge):
    """The file of codes is larger than what is taken in at a time."""

    slug, title = "code-file-too-large", "The file of codes is too large"
