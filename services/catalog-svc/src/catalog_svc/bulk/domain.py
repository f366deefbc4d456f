"""Lines of an import: how they are read, how far they are taken, and what is said of each."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from dxmesh_schemas.problem import Fault
from dxmesh_schemas.text import unseen

MAX_LINES = 1_000
MAX_BYTES = 16 << 20
MAX_LINE_BYTES = 2 << 20


class Until(StrEnum):
    """How far each resource is taken, by a caller who has the roles for it."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    PUBLISHED = "published"

    @property
    def steps(self) -> tuple["Until", ...]:
        """Return the steps behind the draft that lead there."""
        every = tuple(Until)
        return every[1 : every.index(self) + 1]


class Outcome(StrEnum):
    """What became of a line."""

    ENTERED = "entered"
    CHANGED = "changed"
    ADVANCED = "advanced"  # the same entry, taken further
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Line:
    """One resource as it is sent: whose it is, the name of its system, and its entry without them."""

    row: int
    provider: str | None
    system: str | None
    assessments: Mapping[str, Any] | None
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a line; `faults` only of a refused one."""

    row: int
    outcome: Outcome
    name: str | None = None
    resource_id: UUID | None = None
    state: str | None = None
    faults: Sequence[Fault] = ()
    slug: str | None = None


@dataclass(slots=True)
class Report:
    """What became of every line."""

    told: list[Told] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many lines came to which outcome."""
        found = Counter(one.outcome for one in self.told)
        return {outcome.value: found[outcome] for outcome in Outcome}


def read_lines(body: bytes) -> list[tuple[int, bytes]]:
    """Return the lines that are not blank with their numbers from 1; a byte order mark before them is left out."""
    return [(number, line) for number, line in enumerate(body.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1) if line.strip()]


def read_line(row: int, raw: bytes) -> Line | list[Fault]:
    """Return a line, or what is wrong with it as a whole."""
    if len(raw) > MAX_LINE_BYTES:
        return [("", f"has {len(raw)} bytes; at most {MAX_LINE_BYTES} make one resource")]
    try:
        document = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as wrong:
        return [("", f"is not JSON: {wrong}; send one object a line, in UTF-8")]
    if not isinstance(document, dict):
        return [("", "is no object; send one resource as a JSON object a line")]
    faults: list[Fault] = []
    named: dict[str, str | None] = {}
    for name in ("provider", "system"):
        value = document.pop(name, None)
        if value is not None and (not isinstance(value, str) or not value.strip() or len(value) > 200 or unseen(value) is not None):
            faults.append((f"/{name}", "is no name of 1 to 200 visible characters"))
            value = None
        named[name] = value
    if named["system"] is not None and "system_id" in document:
        faults.append(("/system", "stands beside system_id; name the system once"))
    assessments = document.pop("assessments", None)
    if assessments is not None and not isinstance(assessments, dict):
        faults.append(("/assessments", "is no object; give secrecy_risk and personal_information"))
    return faults or Line(row, named["provider"], named["system"], assessments, document)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON value")
