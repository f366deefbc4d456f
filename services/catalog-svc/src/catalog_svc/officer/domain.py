"""Rules of offices: terms, who may share one with whom, who may fill them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from dxmesh_schemas.catalog import OfficerRole
from dxmesh_schemas.problem import Fault


@dataclass(frozen=True, slots=True)
class Term:
    """The days of an office, the first one included, `until` not; without `until` it is open."""

    since: date
    until: date | None = None

    def holds(self, today: date) -> bool:
        """Say whether the office is held on a day."""
        return self.since <= today and (self.until is None or today < self.until)

    def overlaps(self, other: "Term") -> bool:
        """Say whether two terms have a day in common; a term that was taken back before it began has none."""
        if self.is_empty or other.is_empty:
            return False
        return (self.until is None or other.since < self.until) and (other.until is None or self.since < other.until)

    @property
    def is_empty(self) -> bool:
        """Say whether the term has no day."""
        return self.until is not None and self.until <= self.since


def term_faults(term: Term) -> list[Fault]:
    """Return what is wrong with the term of an appointment."""
    if term.is_empty:
        return [("/until", f"is not after {term.since}, the first day; name a later one, or leave it out for an open term")]
    return []


def end_faults(term: Term, until: date) -> list[Fault]:
    """Return what is wrong with ending a term on a day; a mistaken appointment is ended on its first day."""
    if until < term.since:
        return [("/until", f"is before {term.since}, the first day; name that day to take the appointment back")]
    if term.until is not None and until > term.until:
        return [("/until", f"is after {term.until}, when the term ends by itself; appoint anew to go on")]
    return []


def clash(role: OfficerRole, holder: str, term: Term, others: Iterable[tuple[str, Term]]) -> int | None:
    """Return the place of the first term that stands against this one, among those of the role in the organization.

    There is one chief data officer at a time; of stewards and sharing units there may be several, each holder once.
    """
    for place, (other_holder, other_term) in enumerate(others):
        if term.overlaps(other_term) and (role is OfficerRole.CDO or holder == other_holder):
            return place
    return None
