"""The problems of lists."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound, Problem, TooLarge


class ListEntryNotFound(NotFound):
    """No entry of this list has this id."""

    slug, title = "list-entry-not-found", "There is no such list entry"


class ListEntryTaken(Conflict):
    """The owner has an entry of this name in the list; `entry_id` names it."""

    slug, title = "list-entry-taken", "The owner has an entry of this name in the list"


class ListEntryInvalid(Invalid):
    """A rule of the list is broken; `errors` says which and where."""

    slug, title = "list-entry-invalid", "The list entry is not valid"


class ListEntryPassed(Problem):
    """Someone changed the entry since it was read; `version` is the one in force."""

    status, slug, title = 412, "list-entry-passed", "The list entry was changed meanwhile"


class ImportRefused(Invalid):
    """Rows of the file are wrong and nothing was kept; `errors` names row, column, reason and remedy of each."""

    slug, title = "import-refused", "The file was not imported"


class ImportTooLarge(TooLarge):
    """The file has more bytes or rows than one import takes."""

    slug, title = "import-too-large", "The file is too large for one import"


class ScenarioNotApprovable(Conflict):
    """The scenario says no terms, or is over."""

    slug, title = "scenario-not-approvable", "The scenario cannot be approved"
