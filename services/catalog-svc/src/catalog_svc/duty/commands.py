"""What changes duties, and tells of their deadlines."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.duty import domain, store
from catalog_svc.duty.domain import About, Change, Extension, Step
from catalog_svc.duty.errors import DutyClosed, DutyInvalid, DutyKnown, DutyOfCase, ExtensionAsked, ExtensionNotAsked, ReviewOfSubmission
from catalog_svc.organization import store as organizations
from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.resource import store as resources
from catalog_svc.resource.errors import ResourceNotFound
from catalog_svc.step import store as steps
from catalog_svc.step.domain import DraftState, StepKind
from dxmesh_clocks.clock import Clock
from dxmesh_clocks.policy import Policy, RuleName
from dxmesh_clocks.working_days import begin_of, day_of
from dxmesh_runtime import outbox, teller
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.problem import Fault, Forbidden

_READS_ALL = ("authority", "operator", "auditor")
_TOLD_AT_ONCE = 200


def reads_of(who: Principal) -> UUID | None:
    """Return the organization whose duties the caller sees, None for all. Raises: Forbidden (403)."""
    return None if any(who.has(role) for role in _READS_ALL) else who.own_organization


def may_act(who: Principal, organization_id: UUID) -> bool:
    """Say whether the caller acts for this provider: its own steward, or the data authority."""
    return who.has("authority") or (who.has("steward") and who.organization_id == organization_id)


async def register(
    tx: AsyncSession,
    policy: Policy,
    *,
    organization_id: UUID | None,
    resource_id: UUID | None,
    change: Change,
    basis: str | None,
    reason: str,
    changed_on: date,
    by: Principal,
    now: datetime,
) -> store.Duty:
    """Enter a change of law or duties, from which day the provider has to bring its catalogue up to date.

    Raises: Forbidden (403), OrganizationNotFound (404), ResourceNotFound (404), DutyInvalid (422), DutyKnown (409).
    Source: 政务数据共享条例 Art. 17.
    """
    if not (by.has("authority") or by.has("steward")):
        raise Forbidden("a change is registered by a steward of the provider or the data authority")
    owner = await _owner(tx, organization_id, resource_id, by=by)
    _refuse(list(domain.faults(change, basis=basis, changed_on=changed_on, policy=policy, today=day_of(now))))
    known = await store.find_same(
        tx, organization_id=owner, resource_id=resource_id, change=change.value, basis=basis, started_on=changed_on
    )
    if known is not None:
        raise DutyKnown("this change is registered and open; act on that duty", duty_id=str(known.duty_id))
    clock = Clock(policy.rule(RuleName.CATALOGUE_UPDATE), changed_on)
    row = _begin(RuleName.CATALOGUE_UPDATE, clock, owner, resource_id, change, reason, by.subject, now, basis=basis)
    return await _enter(tx, row)


async def on_approval(tx: AsyncSession, policy: Policy, resource: resources.Resource, *, by: str, now: datetime) -> None:
    """Start the authority's clock as the department hands a new version in; the first version of a resource has no such term.

    The resource is locked. Source: 政务数据共享条例 Art. 17.
    """
    if not resource.version or await store.lock_open(tx, resource.resource_id, RuleName.CATALOGUE_REVIEW):
        return
    clock = Clock(policy.rule(RuleName.CATALOGUE_REVIEW), day_of(now))
    reason = f"version {resource.version + 1} was approved by the department and handed in"
    rule, owner = RuleName.CATALOGUE_REVIEW, resource.organization_id
    await _enter(tx, _begin(rule, clock, owner, resource.resource_id, Change.SUBMISSION, reason, by, now))


async def end_review(tx: AsyncSession, resource_id: UUID, *, by: str, reason: str, now: datetime) -> None:
    """End the authority's clock, if one runs: it answered. The resource is locked."""
    for row in await store.lock_open(tx, resource_id, RuleName.CATALOGUE_REVIEW):
        _meet(tx, row, at=now, by=by, reason=reason, resource_id=resource_id, version=None, now=now)


async def on_dispute(
    tx: AsyncSession, policy: Policy, *, organization_id: UUID, resource_id: UUID, case_id: UUID, reason: str, by: str, now: datetime
) -> store.Duty:
    """Start the authority's clock of an arbitration case, as it is opened and again as a decision is objected to.

    Source: 政务数据共享条例 Art. 28, which sets no term: the policy's is our reading.
    """
    clock = Clock(policy.rule(RuleName.ARBITRATION), day_of(now))
    row = _begin(RuleName.ARBITRATION, clock, organization_id, resource_id, Change.DISPUTE, reason, by, now)
    row.case_id = case_id
    return await _enter(tx, row)


async def end_dispute(tx: AsyncSession, case_id: UUID, *, by: str, reason: str, now: datetime) -> None:
    """End the clock of an arbitration case, if one runs. The case is locked."""
    for row in await store.lock_open_of_case(tx, case_id):
        assert row.resource_id is not None, "a dispute is about a resource"
        _meet(tx, row, at=now, by=by, reason=reason, resource_id=row.resource_id, version=None, now=now)


async def on_publication(tx: AsyncSession, resource_id: UUID, *, version: int, by: str, now: datetime) -> None:
    """Count a resource's open duties as met by the version that is put in force in this transaction. The resource is locked.

    A change that is still ahead is left open: a version that answers it early is named with `answer`.
    """
    reason = f"version {version} is in force"
    for row in await store.lock_open(tx, resource_id, RuleName.CATALOGUE_UPDATE, RuleName.CATALOGUE_REVIEW):
        if row.started_on <= day_of(now):
            _meet(tx, row, at=now, by=by, reason=reason, resource_id=resource_id, version=version, now=now)


async def on_announcement(tx: AsyncSession, resource_id: UUID, *, version: int, by: str, now: datetime) -> None:
    """Count a resource's open duties as met by the version that is announced in this transaction. The resource is locked.

    The provider has done its part when the authority tells everyone what comes and when; the notice is owed to those who read the
    resource, and a term of ten working days could never hold one of thirty days. Source: 政务数据共享条例 Art. 17.
    """
    for row in await store.lock_open(tx, resource_id, RuleName.CATALOGUE_UPDATE):
        if row.started_on <= day_of(now):
            _meet(tx, row, at=now, by=by, reason=f"version {version} is announced", resource_id=resource_id, version=version, now=now)
    await end_review(tx, resource_id, by=by, reason=f"version {version} is announced", now=now)


async def on_calling_off(tx: AsyncSession, resource_id: UUID, *, version: int, by: str, reason: str, now: datetime) -> None:
    """Open the duties again that the announced version had met; their days stay as they were. The resource is locked."""
    for row in await store.lock_met_by(tx, resource_id, version):
        row.met_at = row.met_by = row.met_resource_id = row.met_version = None
        _note(tx, row, Step.REOPENED, by=by, reason=reason, now=now, resource_id=str(resource_id), version=version)
        await teller.wake(tx, store.CHANNEL)


async def on_withdrawal(tx: AsyncSession, resource_id: UUID, *, by: str, reason: str, now: datetime) -> None:
    """Count a resource's open duties as met by its withdrawal in this transaction. The resource is locked."""
    for row in await store.lock_open(tx, resource_id, RuleName.CATALOGUE_UPDATE, RuleName.CATALOGUE_REVIEW):
        _meet(tx, row, at=now, by=by, reason=f"withdrawn: {reason}", resource_id=resource_id, version=None, now=now)


async def answer(
    tx: AsyncSession, duty_id: UUID, *, resource_id: UUID, version: int, reason: str, by: Principal, now: datetime
) -> store.Duty:
    """Say which version answers a change: the duty was met on the day that version came into force, or is announced.

    Raises: DutyNotFound (404), Forbidden (403), DutyClosed (409), ReviewOfSubmission (409), DutyOfCase (409), DutyInvalid (422).
    """
    with suppress(ResourceNotFound):  # locked before the duty, as whoever publishes or calls off locks them
        await resources.get(tx, resource_id, lock=True)
    row = await _locked(tx, duty_id, by=by)
    _refuse_review(row)
    at = await _answered_at(tx, row, resource_id, version)
    _meet(tx, row, at=at, by=by.subject, reason=reason, resource_id=resource_id, version=version, now=now)
    return row


async def ask_extension(tx: AsyncSession, duty_id: UUID, *, days: int | None, reason: str, by: Principal, now: datetime) -> store.Duty:
    """Ask the authority for the one extension; without a number of days, for all that the rule allows.

    Raises: DutyNotFound (404), Forbidden (403), DutyClosed (409), ExtensionAsked (409), ClockRefused (409), DutyInvalid (422).
    """
    row = await _locked(tx, duty_id, by=by)
    if row.extension == Extension.ASKED:
        raise ExtensionAsked("an extension is asked for and waits for the authority's consent")
    wanted = _extended(row, days, now).extension_days
    row.extension, row.extension_asked_days = Extension.ASKED.value, wanted
    _note(tx, row, Step.EXTENSION_ASKED, by=by.subject, reason=reason, now=now, days=wanted)
    return row


async def decide_extension(tx: AsyncSession, duty_id: UUID, *, outcome: Extension, reason: str, by: Principal, now: datetime) -> store.Duty:
    """Consent to the extension that was asked for, or refuse it (the data authority).

    Raises: DutyNotFound (404), DutyClosed (409), ExtensionNotAsked (409), ClockRefused (409) when the day has passed meanwhile.
    Source: 政务数据共享条例 Art. 17.
    """
    row = await _locked(tx, duty_id, by=by)
    if row.extension != Extension.ASKED:
        raise ExtensionNotAsked("no extension of this duty waits for consent")
    step = Step.EXTENSION_REFUSED
    if outcome is Extension.GRANTED:
        step = Step.EXTENSION_GRANTED
        row.show(_extended(row, row.extension_asked_days, now))
    row.extension = outcome.value
    _note(tx, row, step, by=by.subject, reason=reason, now=now, days=row.extension_asked_days)
    await teller.wake(tx, store.CHANNEL)
    return row


async def cancel(tx: AsyncSession, duty_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.Duty:
    """Take back a duty that was registered by mistake (the data authority); nothing is told of it any more.

    Raises: DutyNotFound (404), DutyClosed (409), ReviewOfSubmission (409), DutyOfCase (409).
    """
    row = await _locked(tx, duty_id, by=by)
    _refuse_review(row)
    row.cancelled_at = now
    _note(tx, row, Step.CANCELLED, by=by.subject, reason=reason, now=now)
    return row


async def tell_due(tx: AsyncSession, *, now: datetime) -> int:
    """Tell of deadlines that are near their end or missed, each once; return of how many. Tellers at once share the work.

    Emits: catalog.deadline.approaching.v1, .missed.v1.
    """
    due = await store.lock_untold(tx, now=now, limit=_TOLD_AT_ONCE)
    events = []
    for row, organization, resource_name in due:
        missed = row.missed_at <= now
        events.append(domain.deadline_event(row, About(_ref(organization), resource_name), missed=missed, now=now))
        if missed:
            row.missed_told_at = now
        else:
            row.approaching_told_at = now
    await tx.flush()
    await outbox.add_all(tx, events, now=now)
    return len(events)


async def recount(tx: AsyncSession, *, now: datetime) -> int:
    """Count again where a year was assumed and its holidays are announced by now; return how many due days moved."""
    moved = 0
    for row in await store.lock_assumed(tx):
        before = row.due_on
        row.show(row.clock)
        if row.due_on != before:
            moved += 1
            why = "the holidays are announced by now"
            _note(tx, row, Step.RECOUNTED, by="catalog-svc", reason=why, now=now, before=str(before), after=str(row.due_on))
    return moved


def _begin(
    rule: RuleName,
    clock: Clock,
    organization_id: UUID,
    resource_id: UUID | None,
    change: Change,
    reason: str,
    by: str,
    now: datetime,
    *,
    basis: str | None = None,
) -> store.Duty:
    row = store.Duty(
        duty_id=uuid7(),
        rule=rule.value,
        terms=clock.rule.model_dump(mode="json"),
        organization_id=organization_id,
        resource_id=resource_id,
        change=change.value,
        basis=basis,
        reason=reason,
        registered_at=now,
        registered_by=by,
        started_on=clock.started_on,
    )
    row.show(clock)
    return row


async def _enter(tx: AsyncSession, row: store.Duty) -> store.Duty:
    tx.add(row)
    await tx.flush()
    _note(tx, row, Step.REGISTERED, by=row.registered_by, reason=row.reason, now=row.registered_at)
    await teller.wake(tx, store.CHANNEL)
    return row


async def _owner(tx: AsyncSession, organization_id: UUID | None, resource_id: UUID | None, *, by: Principal) -> UUID:
    """Return whose duty a change makes; the resource is locked, so that no version passes by."""
    if (organization_id is None) == (resource_id is None):
        _refuse([("/resource_id", "name either the resource or the organization that the change is about")])
    if organization_id is not None:
        if not may_act(by, organization_id):
            raise OrganizationNotFound(f"no organization you act for has the id {organization_id}")
        return (await organizations.get(tx, organization_id, lock=True)).organization_id
    assert resource_id is not None
    resource = await resources.get(tx, resource_id, lock=True)
    if not may_act(by, resource.organization_id):
        if not resource.version:
            raise ResourceNotFound(f"no resource you may see has the id {resource_id}")
        raise Forbidden("a change is registered by a steward of the resource's provider or the data authority")
    if not resource.version or resource.withdrawn_at is not None:
        _refuse([("/resource_id", "is not in force; a duty to update begins with a published resource")])
    return resource.organization_id


async def _answered_at(tx: AsyncSession, row: store.Duty, resource_id: UUID, version: int) -> datetime:
    if row.resource_id is not None and resource_id != row.resource_id:
        _refuse([("/resource_id", f"is not the resource of this duty, {row.resource_id}")])
    try:
        resource = await resources.get(tx, resource_id)
        if resource.draft_state == DraftState.ANNOUNCED.value and version == resource.version + 1:
            announced = await steps.last(tx, resource_id, StepKind.ANNOUNCED.value)
            assert announced is not None, "an announced draft has its step"
            published_at = announced.at
        else:
            published_at = (await resources.get_version(tx, resource_id, version)).published_at
    except ResourceNotFound:
        _refuse([("/version", f"the resource {resource_id} has no version {version} that is published or announced")])
        raise
    if resource.organization_id != row.organization_id:
        _refuse([("/resource_id", "is not a resource of the organization that owes the update")])
    earliest = min(begin_of(row.started_on), row.registered_at)
    if published_at < earliest:
        _refuse([("/version", f"came into force on {day_of(published_at)}, before the change of {row.started_on}; name a later one")])
    return published_at


async def _locked(tx: AsyncSession, duty_id: UUID, *, by: Principal) -> store.Duty:
    row = await store.get(tx, duty_id, of=reads_of(by), lock=True)
    if not may_act(by, row.organization_id):
        raise Forbidden("a duty is acted on by a steward of its organization or the data authority")
    if not row.is_open:
        raise DutyClosed("the duty is met or cancelled; register a new change instead")
    return row


def _extended(row: store.Duty, days: int | None, now: datetime) -> Clock:
    clock, today = row.clock, day_of(now)
    most = clock.rule.extension_days
    if most and days is not None and not 1 <= days <= most:
        _refuse([("/days", f"is {days}; an extension is 1 to {most} working days ({clock.rule.source})")])
    return clock.extend(most if days is None else days, today)


def _meet(
    tx: AsyncSession, row: store.Duty, *, at: datetime, by: str, reason: str, resource_id: UUID, version: int | None, now: datetime
) -> None:
    row.met_at, row.met_by, row.met_resource_id, row.met_version = at, by, resource_id, version
    details: dict[str, Any] = {"resource_id": str(resource_id)} | ({"version": version} if version is not None else {})
    _note(tx, row, Step.ANSWERED, by=by, reason=reason, now=now, **details)


def _note(tx: AsyncSession, row: store.Duty, step: Step, *, by: str, reason: str, now: datetime, **details: Any) -> None:
    tx.add(store.DutyStep(step_id=uuid7(), duty_id=row.duty_id, step=step.value, by=by, reason=reason, at=now, details=details))


def _refuse_review(row: store.Duty) -> None:
    if row.rule == RuleName.CATALOGUE_REVIEW:
        raise ReviewOfSubmission("publish the version that was handed in, or send it back with the reason")
    if row.rule == RuleName.ARBITRATION:
        raise DutyOfCase("decide the case with POST /v1/arbitrations/{case_id}/decision", case_id=str(row.case_id))


def _ref(organization: organizations.Organization) -> OrganizationRef:
    return OrganizationRef(
        organization_id=organization.organization_id,
        uscc=organization.uscc,
        name=organization.name,
        division_code=organization.division_code,
    )


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise DutyInvalid.of(faults)
