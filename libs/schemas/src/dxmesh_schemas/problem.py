"""Problems: errors that carry their HTTP status and slug where they are raised (RFC 9457)."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

PROBLEM_BASE = "https://dxmesh.example/problems/"
_TOLD = 5

Fault = tuple[str, str]
"""Where something is wrong (a JSON pointer into the body, `query:name` or `header:name`), and what, with its remedy."""


class Problem(Exception):
    """An error a caller can act on; `detail` says what happened and what to do, `members` are extra fields on the wire."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "The service failed"

    def __init__(self, detail: str = "", **members: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.members = members

    @classmethod
    def at(cls, pointer: str, detail: str, **members: Any) -> Self:
        """Return the problem of one field, told by the detail alone."""
        return cls(detail, errors=[{"pointer": pointer, "detail": detail}], **members)

    @classmethod
    def of(cls, faults: Sequence[Fault], **members: Any) -> Self:
        """Return the problem of several fields: `errors` names all of them, the detail the first five."""
        told = "; ".join(f"{pointer}: {detail}" for pointer, detail in faults[:_TOLD])
        return cls(told, errors=[{"pointer": pointer, "detail": detail} for pointer, detail in faults], **members)

    @classmethod
    def type_url(cls) -> str:
        """Return the `type` member: a stable address documented in docs/problems.md."""
        return PROBLEM_BASE + cls.slug

    def as_dict(self) -> dict[str, Any]:
        """Return the members of application/problem+json, without `instance` and `trace_id`."""
        return {"type": self.type_url(), "title": self.title, "status": self.status, "detail": self.detail, **self.members}


class Invalid(Problem):
    """The request is understood and wrong; `errors` lists {pointer, detail}."""

    status, slug, title = 422, "invalid", "The request is not valid"


class Unreadable(Problem):
    """The body cannot be read as what it says it is."""

    status, slug, title = 400, "unreadable", "The request cannot be read"


class Unauthenticated(Problem):
    """No token, or one that does not verify."""

    status, slug, title = 401, "unauthenticated", "A valid access token is needed"


class Forbidden(Problem):
    """The caller is known and may not do this."""

    status, slug, title = 403, "forbidden", "The caller may not do this"


class NotFound(Problem):
    """The thing does not exist, or the caller may not know of it."""

    status, slug, title = 404, "not-found", "There is no such thing"


class Conflict(Problem):
    """The state does not allow this."""

    status, slug, title = 409, "conflict", "The state does not allow this"


class Gone(Problem):
    """The thing existed and is kept no longer."""

    status, slug, title = 410, "gone", "This is kept no longer"


class TooLarge(Problem):
    """The body is larger than allowed."""

    status, slug, title = 413, "too-large", "The body is too large"


class UnsupportedMedia(Problem):
    """The content type or encoding is not one of those read here."""

    status, slug, title = 415, "unsupported-media", "The content type is not supported"


class TooMany(Problem):
    """Too many requests; `retry_after_seconds` says when to come again."""

    status, slug, title = 429, "too-many", "Too many requests"


class Unavailable(Problem):
    """A part this service needs is away; trying again later is right."""

    status, slug, title = 503, "unavailable", "The service is unavailable for the moment"
