"""What goes wrong in an action, told as CKAN tells it: a status and an `error` object with `__type`."""

from typing import Any, ClassVar


class ActionError(Exception):
    """A failed action."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "Internal Server Error"

    def as_dict(self) -> dict[str, Any]:
        """Return CKAN's error object."""
        return {"__type": self.kind, "message": str(self)}


class ActionNotFound(ActionError):
    """The dataset or resource does not exist, or is open no longer."""

    status, kind = 404, "Not Found Error"


class SearchQueryError(ActionError):
    """The search cannot be understood."""

    status, kind = 400, "Search Query Error"


class ValidationError(ActionError):
    """Parameters are wrong; `errors` names each with its reasons."""

    status, kind = 409, "Validation Error"

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {', '.join(reasons)}" for name, reasons in errors.items()))
        self.errors = errors

    def as_dict(self) -> dict[str, Any]:
        """Return CKAN's error object: a member per parameter."""
        return {"__type": self.kind, **self.errors}


class BadRequest(Exception):
    """The call itself cannot be read; CKAN answers with a JSON string and status 400."""
