"""What an arbitration case may come to."""

from enum import StrEnum

from catalog_svc.arbitration.errors import CaseDecided


class CaseState(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    DECIDED = "decided"


class Outcome(StrEnum):
    """What the authority decides: whose item is the source, or that the two are different data elements and both stay."""

    CLAIMANT = "claimant"
    HOLDER = "holder"
    DISTINCT = "distinct"


def refuse_change(state: CaseState, outcome: str | None) -> None:
    """Raise CaseDecided (409) when a case takes no more statements and no second decision."""
    if state is CaseState.DECIDED:
        raise CaseDecided("the authority has decided this case; open another when there are new facts", outcome=outcome)
