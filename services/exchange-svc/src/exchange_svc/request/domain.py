"""Rules of sharing requests: their states, who need not wait, and what may be asked for and granted."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot, SharingType, StandingConsent
from dxmesh_schemas.exchange_terms import Mode, Narrowing, Terms
from dxmesh_schemas.problem import Fault
from exchange_svc.enforcement.rules import mask_faults, where_faults
from exchange_svc.grant.errors import TermsInvalid
from exchange_svc.request.errors import ItemsUnknown, NotShared, ReasonMissing, RequestAnswered, RequestState, UseUntilPast

MASKED_FROM_LEVEL = 3
"""Items of this level and above leave behind a mask, or with a reason why not (data levels 1 to 4)."""


class State(StrEnum):
    """Where a request is."""

    DRAFT = "draft"
    APPROVED = "approved"  # by the requester's head
    SUBMITTED = "submitted"
    UNDER_REVIEW = "under_review"
    MATERIALS_REQUESTED = "materials_requested"
    EXTENDED = "extended"  # under review with more time
    DISPUTED = "disputed"  # its refusal, or that no answer came in time
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What can happen to a request."""

    APPROVE = "approve"
    SUBMIT = "submit"
    REVIEW = "review"
    ASK_MATERIALS = "ask for materials"
    SUPPLY = "supply materials"
    EXTEND = "extend"
    GRANT = "grant"
    REFUSE = "refuse"
    DISPUTE = "dispute"
    AWARD = "grant by decision of the dispute"
    UPHOLD = "leave refused"
    WITHDRAW = "withdraw"


class Outcome(StrEnum):
    """How a provider answers."""

    GRANTED = "granted"
    REFUSED = "refused"


WAITING = (State.UNDER_REVIEW, State.EXTENDED)
"""The provider's answer is due."""
_OPEN = (State.DRAFT, State.APPROVED, State.SUBMITTED, State.MATERIALS_REQUESTED, *WAITING)
TRANSITIONS: Mapping[tuple[State, Step], State] = MappingProxyType(
    {
        (State.DRAFT, Step.APPROVE): State.APPROVED,
        (State.APPROVED, Step.SUBMIT): State.SUBMITTED,
        (State.SUBMITTED, Step.REVIEW): State.UNDER_REVIEW,
        (State.SUBMITTED, Step.GRANT): State.GRANTED,
        (State.UNDER_REVIEW, Step.ASK_MATERIALS): State.MATERIALS_REQUESTED,
        (State.EXTENDED, Step.ASK_MATERIALS): State.MATERIALS_REQUESTED,
        (State.MATERIALS_REQUESTED, Step.SUPPLY): State.UNDER_REVIEW,
        (State.UNDER_REVIEW, Step.EXTEND): State.EXTENDED,
        **{(state, Step.GRANT): State.GRANTED for state in WAITING},
        **{(state, Step.REFUSE): State.REFUSED for state in WAITING},
        **{(state, Step.DISPUTE): State.DISPUTED for state in (State.REFUSED, *WAITING)},
        (State.DISPUTED, Step.AWARD): State.GRANTED,
        (State.DISPUTED, Step.UPHOLD): State.REFUSED,
        (State.DISPUTED, Step.REVIEW): State.UNDER_REVIEW,
        **{(state, Step.WITHDRAW): State.WITHDRAWN for state in _OPEN},
    }
)
"""Every step there is (政务数据共享条例 Art. 20-21, 28); a pair that is missing is not allowed."""
OVER = (State.GRANTED, State.REFUSED, State.WITHDRAWN)
BEFORE_SUBMISSION = (State.DRAFT, State.APPROVED)
"""States in which nobody but the requester knows of a request."""


def advance(state: State, step: Step, *, reason: str | None = None) -> State:
    """Return the state after a step.

    Raises: RequestAnswered (409) for a request that is over, RequestState (409) for one that is not there yet,
    ReasonMissing (422) for a refusal that says nothing.
    Source: 政务数据共享条例 Art. 20-21.
    """
    after = TRANSITIONS.get((state, step))
    if after is None:
        said = state.value.replace("_", " ")
        if state in OVER:
            raise RequestAnswered(f"the request is {said}: {step.value} is not possible any more", state=state.value)
        possible = ", ".join(one.value for before, one in TRANSITIONS if before is state)
        raise RequestState(f"the request is {said}: {step.value} is not possible now; what is: {possible}", state=state.value)
    if step is Step.REFUSE and not (reason or "").strip():
        raise ReasonMissing.at("/reason", "a refusal states its reasons (GDSR Art. 21): give `reason`")
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
        raise ItemsUnknown.at("/items", detail)
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


def check_terms(terms: Terms, items: Sequence[DataItem]) -> None:
    """Refuse terms that cannot be kept over these items. Raises: TermsInvalid (422) naming each fault."""
    refuse([*where_faults(terms.where, items), *mask_faults(terms.masks, items)])


def refuse(faults: Sequence[Fault]) -> None:
    """Refuse terms for these faults, if there are any. Raises: TermsInvalid (422)."""
    if faults:
        raise TermsInvalid.of(faults)


def unmasked_faults(terms: Terms, items: Sequence[DataItem], reasons: Mapping[str, str]) -> Iterator[Fault]:
    """Yield what is wrong with a decision that lets items of a high level leave as they are (S08: masking by level)."""
    masked = {mask.item for mask in terms.masks}
    known = {item.code for item in items}
    for code in reasons:
        if code not in known or code in masked:
            yield f"/unmasked/{code}", f"{code} is {'masked' if code in masked else 'not among the items'}: no reason is needed"
    if set(terms.modes) == {Mode.VERIFY}:
        return
    for item in items:
        if item.data_level >= MASKED_FROM_LEVEL and item.code not in masked and item.code not in reasons:
            yield (
                "/masks",
                f"{item.code} is of level {item.data_level}: give it a mask, or say in /unmasked/{item.code} why it leaves as it is",
            )


def asked_of(asked: Terms, items: Sequence[DataItem]) -> Terms:
    """Return the terms that were asked for, over the items that are granted: a mask goes with the item it hides."""
    granted = {item.code for item in items}
    return asked.model_copy(update={"masks": tuple(mask for mask in asked.masks if mask.item in granted)})


def narrowed(asked: Terms, answer: Narrowing) -> Terms:
    """Return what is asked for within what the answer allows.

    Raises: TermsInvalid (422) when no way is left, or a mask or system that was not asked for would widen it.
    """
    modes = asked.modes if answer.modes is None else tuple(mode for mode in asked.modes if mode in answer.modes)
    if not modes:
        refuse(
            [("/terms/modes", f"none of {', '.join(answer.modes or ())} was asked for: allow one of {', '.join(asked.modes)}, or refuse")]
        )
    if answer.systems is not None and asked.systems and (beyond := set(answer.systems) - set(asked.systems)):
        refuse([("/terms/systems", f"{', '.join(map(str, sorted(beyond)))}: not asked for; name some of those that were")])
    calls = [one for one in (asked.calls_per_minute, answer.calls_per_minute) if one is not None]
    masks = {mask.item: mask for mask in (*asked.masks, *(answer.masks or ()))}
    return Terms(
        where=tuple(dict.fromkeys((*asked.where, *answer.where))),
        masks=tuple(masks.values()),
        modes=modes,
        systems=asked.systems if answer.systems is None else answer.systems,
        calls_per_minute=min(calls, default=None),
        backfill=asked.backfill,
    )


def consent_for(resource: ResourceSnapshot, items: Sequence[DataItem], sharing: SharingType) -> StandingConsent | None:
    """Return the consent that answers at once, if there is one: only unconditional access can be agreed to in advance.

    Important and core data, and items that leave behind masks, are looked at each time.
    Source: 政务数据共享条例 Art. 20 (an answer needs a named approver); 数据安全法 Art. 21.
    """
    if sharing is not SharingType.UNCONDITIONAL or resource.is_important or resource.is_core:
        return None
    return None if any(item.data_level >= MASKED_FROM_LEVEL for item in items) else resource.standing_consent


def check_use_until(use_until: datetime | None, now: datetime, *, asked: datetime | None = None) -> None:
    """Refuse a time limit that is over, or behind the one that was asked for. Raises: UseUntilPast, TermsInvalid (422)."""
    if use_until is not None and use_until <= now:
        detail = f"use_until {use_until.isoformat()} is not after now ({now.isoformat()}): give a later time, or none"
        raise UseUntilPast.at("/use_until", detail)
    if use_until is not None and asked is not None and use_until > asked:
        refuse(
            [
                (
                    "/use_until",
                    f"{use_until.isoformat()} is later than the {asked.isoformat()} that was asked for; give that or an earlier time",
                )
            ]
        )
