"""Rules of scenarios: what an approved one authorizes, why one does not fit, and when what it gave loses its ground."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from dxmesh_clocks.working_days import begin_of
from dxmesh_schemas.catalog import DataItem, Level, OrganizationKind, ResourceSnapshot, SharingType
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.catalog_lists import ListEntryEvent, ScenarioApproval, ScenarioData, ScenarioTerms
from dxmesh_schemas.exchange_terms import Narrowing, Terms
from exchange_svc.enforcement.rules import mask_faults, where_faults
from exchange_svc.grant.domain import IN_FORCE, State
from exchange_svc.grant.errors import TermsInvalid
from exchange_svc.request.domain import narrowed, sharing_of, unmasked_faults
from exchange_svc.scenario.errors import ScenarioGrantStands

_ENDED = ("done", "cancelled")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks; of a kind and level that are not known, it is of none."""

    organization_id: UUID
    kind: OrganizationKind | None
    level: Level | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: items of the resource, for which of the purposes, with what terms."""

    items: Sequence[DataItem]
    use_purpose: UsePurpose | None
    terms: Terms


@dataclass(frozen=True, slots=True)
class Answer:
    """What a scenario says to a request: why it does not fit, or who approved it and with what terms it grants."""

    misfits: tuple[str, ...]
    approvals: tuple[ScenarioApproval, ...]
    terms: Terms

    @property
    def grants(self) -> bool:
        """Say whether the scenario grants the request by itself."""
        return not self.misfits


def authorizes(entry: ListEntryEvent, asked: Asked, resource: ResourceSnapshot, requester: Asker, today: date) -> Answer:
    """Say whether a scenario grants a request by itself; every condition that is not met is named.

    Source: 政务数据共享条例 Art. 20 (an answer has a named approver: those of the scenario), Art. 14; 数据安全法 Art. 21.
    """
    scenario = entry.scenario
    if scenario is None:
        return Answer((f"{entry.name} says no terms; its owner writes them and has them approved",), (), asked.terms)
    terms, faults = _terms(scenario.terms or Narrowing(), asked)
    sharing = sharing_of(resource, asked.items)
    misfits = (
        *_in_force(entry, scenario, today),
        *_approved(entry, resource, sharing),
        *_purpose(scenario, asked.use_purpose),
        *_requester(scenario, requester),
        *_covered(scenario, asked.items, resource),
        *_never(asked.items, resource),
        *faults,
    )
    return Answer(misfits, tuple(_approvals(entry, resource, sharing)), terms)


def _in_force(entry: ListEntryEvent, scenario: ScenarioTerms, today: date) -> Iterator[str]:
    if entry.status in _ENDED:
        yield f"it came to its end ({entry.status})"
    if not scenario.valid_from <= today <= scenario.valid_until:
        yield f"it is in force from {scenario.valid_from} to {scenario.valid_until}, not on {today}"


def _approvals(entry: ListEntryEvent, resource: ResourceSnapshot, sharing: SharingType) -> Iterator[ScenarioApproval]:
    """Yield the approvals that an answer rests on: the data authority's, and for conditional access the provider's own."""
    for one in entry.approvals:
        own = one.role == "provider" and one.organization_id == resource.provider.organization_id
        if one.role == "authority" or (own and sharing is SharingType.CONDITIONAL):
            yield one


def _approved(entry: ListEntryEvent, resource: ResourceSnapshot, sharing: SharingType) -> Iterator[str]:
    roles = {one.role for one in _approvals(entry, resource, sharing)}
    if "authority" not in roles:
        yield "the data authority has not approved it as it stands"
    if sharing is SharingType.CONDITIONAL and "provider" not in roles:
        yield f"what is asked for is shared on condition, and {resource.provider.name}, whose it is, has not approved the scenario"


def _purpose(scenario: ScenarioTerms, purpose: UsePurpose | None) -> Iterator[str]:
    if purpose not in scenario.purposes:
        said = "names no use_purpose" if purpose is None else f"is for {purpose.value}"
        yield f"it is for {', '.join(one.value for one in scenario.purposes)}; the request {said}"


def _requester(scenario: ScenarioTerms, requester: Asker) -> Iterator[str]:
    who = scenario.requesters
    if requester.organization_id in who.organization_ids:
        return
    of_kind = not who.kinds or requester.kind in who.kinds
    of_level = not who.levels or requester.level in who.levels
    if not ((who.kinds or who.levels) and of_kind and of_level):
        yield "the requester is none of those it names"


def _covered(scenario: ScenarioTerms, items: Sequence[DataItem], resource: ResourceSnapshot) -> Iterator[str]:
    beyond = [item.code for item in items if not any(covers(data, item.code, resource) for data in scenario.data)]
    if beyond or not items:
        yield f"it does not cover {', '.join(beyond) or 'anything'} of {resource.name}"


def covers(data: ScenarioData, code: str, resource: ResourceSnapshot) -> bool:
    """Say whether an item is among the data: of its resource, or of any under its class; a class path is read by whole parts."""
    if data.resource_id is not None:
        return data.resource_id == resource.resource_id and (not data.items or code in data.items)
    return data.class_prefix is not None and f"{resource.class_path}/".startswith(f"{data.class_prefix}/")


def _never(items: Sequence[DataItem], resource: ResourceSnapshot) -> Iterator[str]:
    if resource.is_core or resource.is_important:
        yield f"{resource.name} is {'core' if resource.is_core else 'important'} data, which is looked at each time"
    withheld = [item.code for item in items if item.sharing_type is SharingType.NOT_SHARED]
    if resource.sharing_type is SharingType.NOT_SHARED or withheld:
        yield f"{', '.join(withheld) or resource.name} is not shared"


def _terms(narrowing: Narrowing, asked: Asked) -> tuple[Terms, list[str]]:
    """Return the terms of a grant by the scenario, and what is wrong with them; masks of items not asked for are not needed."""
    codes = {item.code for item in asked.items}
    masks = None if narrowing.masks is None else tuple(mask for mask in narrowing.masks if mask.item in codes)
    try:
        terms = narrowed(asked.terms, narrowing.model_copy(update={"masks": masks}))
    except TermsInvalid as wrong:
        return asked.terms, [str(wrong.detail)]
    found = [*where_faults(terms.where, asked.items), *mask_faults(terms.masks, asked.items), *unmasked_faults(terms, asked.items, {})]
    return terms, [f"with its terms, {pointer}: {what}" for pointer, what in found]


def ends_at(entry: ListEntryEvent, use_until: datetime | None) -> datetime | None:
    """Return until when a grant by the scenario is good: as long as asked for, and not beyond the scenario's last day."""
    if entry.scenario is None:
        return use_until
    last = begin_of(date.fromordinal(entry.scenario.valid_until.toordinal() + 1))
    return last if use_until is None else min(use_until, last)


def reason_of(entry: ListEntryEvent, approvals: Sequence[ScenarioApproval], provider: str) -> str:
    """Return the reason of an answer: the scenario, who approved it and when, and until when it holds."""
    by = [f"{one.approved_by} for {_side(one, provider)} on {one.approved_at.date().isoformat()}" for one in approvals]
    until = f", valid until {entry.scenario.valid_until}" if entry.scenario else ""
    return f"scenario {entry.name} ({entry.entry_id}, revision {entry.revision}), approved by {' and by '.join(by)}{until}"


def _side(approval: ScenarioApproval, provider: str) -> str:
    return "the data authority" if approval.role == "authority" else provider


def approver_of(approvals: Sequence[ScenarioApproval]) -> str:
    """Return who answered: the provider's approver where there is one, else the data authority's."""
    return next((one for one in approvals if one.role == "provider"), approvals[0]).approved_by


def check_confirmable(state: State, *, lapsed_at: datetime | None, confirmed_at: datetime | None) -> None:
    """Let a grant in force be confirmed that has lost its scenario's ground. Raises: ScenarioGrantStands (409)."""
    if lapsed_at is None:
        raise ScenarioGrantStands("the grant rests on its scenario as it is; there is nothing to confirm")
    if confirmed_at is not None:
        raise ScenarioGrantStands(f"the grant was confirmed at {confirmed_at.isoformat()}; suspend or end it when that is no longer so")
    if state not in IN_FORCE:
        raise ScenarioGrantStands(f"the grant is {state}; only one in force goes on: the requester asks anew")


def lapse_of(entry: ListEntryEvent, rested_on: Sequence[ScenarioApproval]) -> str | None:
    """Return why a grant has lost the ground it rests on: its scenario ended, or an approval is there no more; None while it has it.

    An approval that was given again is another one: it approves what the scenario says now, and grants what is asked for from then on.
    """
    if entry.status in _ENDED:
        return f"the scenario came to its end ({entry.status})"
    gone = [one for one in rested_on if one not in entry.approvals]
    if not gone:
        return None
    return f"approvals it rests on are there no more: {', '.join(f'{one.approved_by} ({one.role})' for one in gone)}"
