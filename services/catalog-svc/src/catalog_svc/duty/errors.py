"""The problems of duties."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class DutyNotFound(NotFound):
    """No duty has this id, or it is another organization's."""

    slug, title = "duty-not-found", "There is no such duty"


class DutyInvalid(Invalid):
    """What was sent about a duty breaks a rule; `errors` says which and where."""

    slug, title = "duty-invalid", "The duty's entry is not valid"


class DutyKnown(Conflict):
    """The same change is registered and open; `duty_id` names it."""

    slug, title = "duty-known", "The change is registered already"


class DutyClosed(Conflict):
    """The duty is met or cancelled, and takes no more steps."""

    slug, title = "duty-closed", "The duty is closed"


class ReviewOfSubmission(Conflict):
    """A review ends as the version is published or sent back, and in no other way."""

    slug, title = "review-of-submission", "A review ends by its own outcome"


class DutyOfCase(Conflict):
    """A dispute's deadline ends as the case is decided, withdrawn or lapses, and in no other way; `case_id` names the case."""

    slug, title = "duty-of-case", "A dispute's deadline ends by its own outcome"


class ExtensionNotAsked(Conflict):
    """There is nothing to consent to: no extension is asked for, or it was answered."""

    slug, title = "extension-not-asked", "No extension is asked for"


class ExtensionAsked(Conflict):
    """An extension is asked for already and waits for the authority."""

    slug, title = "extension-asked", "An extension is asked for already"
