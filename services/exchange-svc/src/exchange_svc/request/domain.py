"""Rules of sharing requests: their states, who need not wait, and what may be asked for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot, SharingType, StandingConsent
from exchange_svc.request.errors import ItemsUnknown, NotShared, ReasonMissing, RequestAnswered, UseUntilPast


class State(StrEnum):
    """Where a request is."""

    SUBMITTED = "submitted"
    UNDER_REVIEW = "under_review"
    GRANTED = "granted"
    REFUSED = "refused"


class Step(StrEnum):
    """What can happen to a request."""

    REVIEW = "review"
    GRANT = "grant"
    REFUSE = "refuse"


class Outcome(StrEnum):
    """How a provider answers."""

    GRANTED = "granted"
    REFUSED = "refused"


TRANSITIONS: Mapping[tuple[State, Step], State] = MappingProxyType(
    {
        (State.SUBMITTED, Step.REVIEW): State.UNDER_REVIEW,
        (State.SUBMITTED, Step.GRANT): State.GRANTED,
        (State.UNDER_REVIEW, Step.GRANT): State.GRANTED,
        (State.UNDER_REVIEW, Step.REFUSE): State.REFUSED,
    }
)
"""Every step there is (政务数据共享条例 Art. 20-21); a pair that is missing is not allowed."""


def advance(state: State, step: Step, *, reason: str | None = None) -> State:
    """Return the state after a step.

    Raises: RequestAnswered (409), ReasonMissing (422) for a refusal that says nothing.
    Source: 政务数据共享条例 Art. 21.
    """
    after = TRANSITIONS.get((state, step))
    if after is None:
        raise RequestAnswered(f"the request is {state.value.replace('_', ' ')}: {step.value} is not possible any more", state=state.value)
    if after is State.REFUSED and not (reason or "").strip():
        detail = "a refusal states its reasons (GDSR Art. 21): give `reason`"
        raise ReasonMissing(detail, errors=[{"pointer": "/reason", "detail": detail}])
    return after


def step_of(outcome: Outcome) -> Step:
    """Return the step a provider's answer is."""
    return Step.GRANT if outcome is Outcome.GRANTED else Step.REFUSE


def choose_items(resource: ResourceSnapshot, wanted: Sequence[str] | None) -> tuple[DataItem, ...]:
    """Return the items asked for, in the resource's order; all that are shared when none are named.

    Raises: ItemsUnknown (422), NotShared (403) with its basis.
    """
    refused = SharingType.NOT_SHARED
    if resource.sharing_type is refused:
        raise NotShared(_not_shared(resource, resource.name), basis=resource.sharing_condition)
    if wanted is None:
        chosen = tuple(item for item in resource.items if item.sharing_type is not refused)
        if not chosen:
            raise NotShared(_not_shared(resource, f"every item of {resource.name}"), basis=resource.sharing_condition)
        return chosen
    unknown = [code for code in dict.fromkeys(wanted) if resource.item(code) is None]
    if unknown or not wanted:
        has = ", ".join(item.code for item in resource.items)
        detail = f"items: {', '.join(unknown) or 'none named'}; {resource.name} has {has}: name some of these, or leave items away for all"
        raise ItemsUnknown(detail, errors=[{"pointer": "/items", "detail": detail}])
    chosen = tuple(item for item in resource.items if item.code in set(wanted))
    withheld = [item.code for item in chosen if item.sharing_type is refused]
    if withheld:
        raise NotShared(_not_shared(resource, f"of {resource.name}, {', '.join(withheld)}"), basis=resource.sharing_condition)
    return chosen


def _not_shared(resource: ResourceSnapshot, what: str) -> str:
    basis = resource.sharing_condition or "the provider named no basis; ask the data authority"
    return f"{what} is not shared (不予共享). Basis: {basis}"


def sharing_of(resource: ResourceSnapshot, items: Sequence[DataItem]) -> SharingType:
    """Return the stricter of the resource's sharing type and those of the items asked for."""
    kinds = {resource.sharing_type, *(item.sharing_type for item in items)}
    return SharingType.CONDITIONAL if SharingType.CONDITIONAL in kinds else SharingType.UNCONDITIONAL


def consent_for(resource: ResourceSnapshot, sharing: SharingType) -> StandingConsent | None:
    """Return the consent that answers at once, if there is one: only unconditional access can be agreed to in advance.

    Source: 政务数据共享条例 Art. 20 (an answer needs a named approver).
    """
    return resource.standing_consent if sharing is SharingType.UNCONDITIONAL else None


def check_use_until(use_until: datetime | None, now: datetime) -> None:
    """Refuse a time limit that is over. Raises UseUntilPast (422)."""
    if use_until is not None and use_until <= now:
        detail = f"use_until {use_until.isoformat()} is not after now ({now.isoformat()}): give a later time, or none"
        raise UseUntilPast(detail, errors=[{"pointer": "/use_until", "detail": detail}])
