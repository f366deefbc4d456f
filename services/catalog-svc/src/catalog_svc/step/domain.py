"""The way of a draft into force: its states, who acts in each, and what each step leads to (政务数据共享条例 Art. 13, 16)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from catalog_svc.resource.definition import Settled
from catalog_svc.resource.domain import State
from catalog_svc.resource.errors import IllegalTransition
from dxmesh_schemas.catalog_attributes import Sensitivity
from dxmesh_schemas.problem import Fault


class DraftState(StrEnum):
    """Where the definition stands that is not in force yet."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    ANNOUNCED = "announced"  # reviewed; it comes in force when its notice is over


class StepKind(StrEnum):
    """What happened to a resource."""

    DRAFTED = "drafted"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    RETURNED = "returned"
    ANNOUNCED = "announced"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


_PERSONAL = (Sensitivity.PERSONAL, Sensitivity.SENSITIVE_PERSONAL)
CATALOGUE = "catalogue"
"""Who acts when a notice is over: nobody decides any more."""
_RESPONSIBLE = {DraftState.DRAFT: "steward", DraftState.SUBMITTED: "cdo", DraftState.APPROVED: "authority", DraftState.ANNOUNCED: CATALOGUE}
_LEADS_TO: dict[tuple[DraftState, StepKind], DraftState | None] = {
    (DraftState.DRAFT, StepKind.DRAFTED): DraftState.DRAFT,
    # what was changed is no longer what was submitted
    (DraftState.SUBMITTED, StepKind.DRAFTED): DraftState.DRAFT,
    (DraftState.APPROVED, StepKind.DRAFTED): DraftState.DRAFT,
    (DraftState.DRAFT, StepKind.SUBMITTED): DraftState.SUBMITTED,
    (DraftState.SUBMITTED, StepKind.APPROVED): DraftState.APPROVED,
    (DraftState.SUBMITTED, StepKind.RETURNED): DraftState.DRAFT,
    (DraftState.APPROVED, StepKind.RETURNED): DraftState.DRAFT,
    (DraftState.ANNOUNCED, StepKind.RETURNED): DraftState.DRAFT,
    (DraftState.APPROVED, StepKind.ANNOUNCED): DraftState.ANNOUNCED,
    (DraftState.APPROVED, StepKind.PUBLISHED): None,
}
_REMEDIES = {
    DraftState.DRAFT: "its steward submits it first",
    DraftState.SUBMITTED: "the provider's CDO (role cdo) approves or returns it first",
    DraftState.APPROVED: "the data authority publishes or returns it",
    DraftState.ANNOUNCED: "its notice runs; it comes in force by itself, and the data authority may return it until then",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a jurisdiction decides about publication."""

    notice_days: int = 30  # calendar days between the announcement of a breaking change and its coming in force


def advance(state: State, draft: DraftState | None, step: StepKind) -> DraftState | None:
    """Return where a step leads the draft, None for into force. Raises: IllegalTransition (409), naming who is to act."""
    if state is State.WITHDRAWN:
        raise IllegalTransition("the resource is withdrawn; register a new one instead", state=state.value)
    if draft is None and step is StepKind.DRAFTED:
        return DraftState.DRAFT
    if draft is None:
        raise IllegalTransition("nothing changed since the version in force; PUT a new definition first", state=state.value)
    if (draft, step) not in _LEADS_TO:
        raise IllegalTransition(
            f"the draft is {draft.value} and cannot be {step.value}: {_REMEDIES[draft]}",
            state=state.value,
            draft_state=draft.value,
            responsible_role=_RESPONSIBLE[draft],
        )
    return _LEADS_TO[draft, step]


def state_beside(draft: DraftState, version: int) -> State:
    """Return the resource's state: that of its draft before the first version, published from then on."""
    return State.PUBLISHED if version else State(draft.value)


def responsible_role(state: State, draft: DraftState | None) -> str | None:
    """Return who is to act next: a steward keeps what is in force current, nobody what is withdrawn."""
    if state is State.WITHDRAWN:
        return None
    return _RESPONSIBLE[draft] if draft is not None else "steward"


def assessment_faults(entry: Settled, assessments: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what in the assessments forbids an approval: secrecy at risk, personal information harmed, or overlooked."""
    found = []
    if assessments["secrecy_risk"]["outcome"] == "failed":
        found.append(("/secrecy_risk/outcome", "is failed: secrets do not belong in the catalogue; return the draft instead"))
    outcome = assessments["personal_information"]["outcome"]
    personal = [item.code for item in entry.items if item.sensitivity in _PERSONAL]
    if outcome == "failed":
        found.append(("/personal_information/outcome", "is failed: return the draft instead"))
    elif outcome == "none" and personal:
        what = f"is none, and the entry says that {', '.join(personal[:5])} hold personal information: assess their impact"
        found.append(("/personal_information/outcome", what))
    return found


def effective_at(now: datetime, days: int) -> datetime:
    """Return when a change announced now comes in force."""
    return now + timedelta(days=days)


def touched(broken_items: Sequence[str], whole: bool, grants: Sequence[tuple[UUID, Sequence[str]]]) -> list[UUID]:
    """Return the grants whose items a change breaks, or all when it breaks the resource as a whole."""
    broken = set(broken_items)
    return [grant_id for grant_id, items in grants if whole or broken & set(items)]


def merged(given: Sequence[dict[str, Any]], found: Sequence[Fault]) -> list[dict[str, Any]]:
    """Return all faults for one notice: those a person named, then those the rules find, without repeats."""
    rules = [{"pointer": pointer, "detail": detail} for pointer, detail in found]
    return [*given, *(fault for fault in rules if fault not in given)]
