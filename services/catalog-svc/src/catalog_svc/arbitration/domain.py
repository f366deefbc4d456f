"""What an arbitration case may come to, and who may bring it on (政务数据共享条例 Art. 19, 28)."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from catalog_svc.arbitration.errors import CaseClosed, CaseDecided, DecisionInvalid, NotDecided, ObjectionLate
from dxmesh_clocks import working_days
from dxmesh_clocks.policy import Policy, RuleName
from dxmesh_schemas.problem import Forbidden


class CaseState(StrEnum):
    """Where a case stands."""

    OPEN = "open"  # before the data authority
    DECIDED = "decided"  # the side it went against may object until the day that is named
    REFERRED = "referred"  # objected to: before the people's government; the decision stands meanwhile
    SETTLED = "settled"  # decided for good
    WITHDRAWN = "withdrawn"  # the claimant took it back
    LAPSED = "lapsed"  # one of the two items is gone, or another data element by now


WAITING = (CaseState.OPEN, CaseState.REFERRED)
"""The states in which a decision is owed."""


class Outcome(StrEnum):
    """What is decided: whose item is the source, or that the two are different data elements and both stay."""

    CLAIMANT = "claimant"
    HOLDER = "holder"
    DISTINCT = "distinct"


class Step(StrEnum):
    """What happens to a case."""

    OPENED = "opened"
    DECIDED = "decided"
    OBJECTED = "objected"
    SETTLED = "settled"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


def refuse_unless_waiting(state: CaseState, outcome: str | None, closed_reason: str | None) -> None:
    """Raise CaseDecided or CaseClosed (409) when no decision is owed: statements, decisions and withdrawals come too late."""
    if state in (CaseState.WITHDRAWN, CaseState.LAPSED):
        raise CaseClosed(f"the case is {state.value} ({closed_reason}); claim the item, or open another case", state=state.value)
    if state not in WAITING:
        raise CaseDecided("the case is decided; object to it in time, or open another when there are new facts", outcome=outcome)


def refuse_document(state: CaseState, document: str | None) -> None:
    """Raise DecisionInvalid (422) unless the people's government's decision is named where it decides, and only there.

    Source: 政务数据共享条例 Art. 28.
    """
    if state is CaseState.REFERRED and document is None:
        _refuse_document("is missing: on objection the people's government decides; name its decision by number")
    if state is CaseState.OPEN and document is not None:
        _refuse_document("belongs to a case that was objected to; leave it out: the data authority decides this one")


def _refuse_document(detail: str) -> None:
    raise DecisionInvalid.of([("/document", detail)])


def objection_until(policy: Policy, decided_on: date) -> date:
    """Return the last day, in China, on which a decision of that day may be objected to."""
    return working_days.add(decided_on, policy.rule(RuleName.ARBITRATION_OBJECTION).days)


def refuse_objection(
    state: CaseState, outcome: str | None, *, until: date | None, today: date, organization_id: UUID, claimant: UUID, holder: UUID
) -> None:
    """Raise unless a side that the decision went against objects in time.

    Raises: NotDecided, CaseDecided, CaseClosed, ObjectionLate (409), Forbidden (403).
    """
    if state is CaseState.OPEN:
        raise NotDecided("the data authority has not decided yet; add a statement instead")
    if state is not CaseState.DECIDED:
        if state is CaseState.REFERRED:
            raise CaseDecided("the decision was objected to and is before the people's government; add a statement", outcome=outcome)
        refuse_unless_waiting(state, outcome, "a decision closes nothing here")
    lost = {Outcome.CLAIMANT: (holder,), Outcome.HOLDER: (claimant,), Outcome.DISTINCT: (claimant, holder)}[Outcome(outcome or "")]
    if organization_id not in lost:
        raise Forbidden("a decision is objected to by a steward of the organization it went against")
    if until is None or today > until:
        raise ObjectionLate(f"the last day to object was {until}; open another case when there are new facts", until=str(until))
