"""What takes a draft on its way into force, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.duty import commands as duties
from catalog_svc.grant import store as grants
from catalog_svc.organization import commands as parties
from catalog_svc.organization import store as organizations
from catalog_svc.organization.errors import PaperNotGood
from catalog_svc.resource import commands as resources
from catalog_svc.resource import diff, rules, store
from catalog_svc.resource import domain as resource_domain
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.errors import ResourceInvalid, ResourceNameTaken, ResourceNotFound
from catalog_svc.sharing_list import commands as lists
from catalog_svc.step import domain
from catalog_svc.step import store as steps
from catalog_svc.step.domain import DraftState, Policy, StepKind
from catalog_svc.step.errors import ApprovalInvalid, NoticeTooShort, ReturnInvalid
from dxmesh_clocks.policy import Policy as Deadlines
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.catalog_events import (
    ResourceApproved,
    ResourceChangeAnnounced,
    ResourceChanged,
    ResourcePublished,
    ResourceReturned,
    ResourceSubmitted,
    TouchedGrant,
)
from dxmesh_schemas.problem import Fault

_CATALOGUE = "catalog-svc"


def may_submit(who: Principal, organization_id: UUID) -> bool:
    """Say whether the caller submits this provider's entries: its own steward."""
    return who.has("steward") and who.organization_id == organization_id


def may_approve(who: Principal, organization_id: UUID) -> bool:
    """Say whether the caller approves this provider's entries: its own chief data officer."""
    return who.has("cdo") and who.organization_id == organization_id


def may_return(who: Principal, organization_id: UUID) -> bool:
    """Say whether the caller gives this provider's entries back: its own chief data officer, or the data authority."""
    return may_approve(who, organization_id) or who.has("authority")


async def submit(
    tx: AsyncSession, resource_id: UUID, *, reason: str | None, by: Principal, revisions: Sequence[int] | None, now: datetime
) -> store.Resource:
    """Hand a draft in for approval; from here on it must be complete.

    Raises: ResourceNotFound (404), Forbidden (403), RevisionPassed (412), IllegalTransition (409), ResourceInvalid (422),
    ResourceNameTaken (409), PaperNotGood (409).
    Emits: catalog.resource.submitted.v1.
    """
    row = await resources.locked(
        tx, resource_id, by=by, revisions=revisions, may=may_submit, who="a resource is submitted by a steward of its provider"
    )
    resources.advance(row, StepKind.SUBMITTED)
    await _refuse_without_paper(tx, row, now=now)
    entry = Settled.model_validate(row.draft)
    resources.refuse(await _faults(tx, row, entry))
    await resources.refuse_taken(tx, row.organization_id, entry.name, other_than=resource_id)
    resources.enter_step(tx, row, StepKind.SUBMITTED, by=by.subject, role="steward", now=now, reason=reason)
    await tx.flush()
    event = ResourceSubmitted(**await _waiting(tx, row), submitted_at=now, submitted_by=by.subject)
    await outbox.add(tx, event, now=now)
    return row


async def approve(
    tx: AsyncSession,
    resource_id: UUID,
    *,
    assessments: Mapping[str, Mapping[str, Any]],
    reason: str | None,
    by: Principal,
    revisions: Sequence[int] | None,
    deadlines: Deadlines,
    now: datetime,
) -> store.Resource:
    """Approve a submitted draft as the department's head, on the assessments made before.

    Raises: ResourceNotFound (404), Forbidden (403), RevisionPassed (412), IllegalTransition (409), ApprovalInvalid (422).
    Emits: catalog.resource.approved.v1.
    Source: 政务数据共享条例 Art. 13.
    """
    row = await resources.locked(
        tx, resource_id, by=by, revisions=revisions, may=may_approve, who="a resource is approved by its provider's CDO (role cdo)"
    )
    resources.advance(row, StepKind.APPROVED)
    found = domain.assessment_faults(Settled.model_validate(row.draft), assessments)
    if found:
        raise ApprovalInvalid.of(found)
    detail = {"assessments": {name: dict(one) for name, one in assessments.items()}}
    resources.enter_step(tx, row, StepKind.APPROVED, by=by.subject, role="cdo", now=now, reason=reason, detail=detail)
    await tx.flush()
    await duties.on_approval(tx, deadlines, row, by=by.subject, now=now)
    await outbox.add(tx, ResourceApproved(**await _waiting(tx, row), approved_at=now, approved_by=by.subject), now=now)
    return row


async def give_back(
    tx: AsyncSession,
    resource_id: UUID,
    *,
    reason: str,
    faults: Sequence[dict[str, Any]],
    by: Principal,
    revisions: Sequence[int] | None,
    now: datetime,
) -> store.Resource:
    """Return a draft for correction with one notice of all its faults: those named, and those the rules find.

    An announced one is called off.
    Raises: ResourceNotFound (404), Forbidden (403), RevisionPassed (412), IllegalTransition (409), ReturnInvalid (422).
    Emits: catalog.resource.returned.v1.
    """
    row = await resources.locked(
        tx, resource_id, by=by, revisions=revisions, may=may_return, who="a draft is returned by its provider's CDO or the data authority"
    )
    wrong = [
        {"pointer": f"/faults/{index}/pointer", "detail": f"{fault['pointer']!r} points at no field of an entry"}
        for index, fault in enumerate(faults)
        if fault["pointer"].split("/")[1] not in Definition.model_fields
    ]
    if wrong:
        raise ReturnInvalid("; ".join(one["detail"] for one in wrong[:5]), errors=wrong)
    role = "authority" if by.has("authority") else "cdo"
    await _give_back(tx, row, reason=reason, faults=faults, by=by.subject, role=role, now=now)
    return row


async def publish(
    tx: AsyncSession,
    resource_id: UUID,
    *,
    reason: str | None,
    notice_days: int | None,
    by: Principal,
    revisions: Sequence[int] | None,
    policy: Policy,
    public_url: str,
    now: datetime,
) -> store.Resource:
    """Put an approved draft in force as an immutable version, or announce it when it breaks what grants rely on.

    The rules are kept again now, as what they look at may have changed.
    Raises: ResourceNotFound (404), RevisionPassed (412), IllegalTransition (409), ResourceInvalid (422), ResourceNameTaken (409),
    PaperNotGood (409), NoticeTooShort (422).
    Emits: catalog.resource.published.v1 for the first version, .changed.v1 for later ones, or .change_announced.v1.
    Source: 政务数据共享条例 Art. 16-17.
    """
    row = await resources.locked(tx, resource_id, by=by, revisions=revisions)
    if notice_days is not None and notice_days < policy.notice_days:
        detail = f"is {notice_days}; a breaking change is announced at least {policy.notice_days} days ahead"
        raise NoticeTooShort.at("/notice_days", detail)
    coming = await _coming(tx, row, now=now) if row.draft_state == DraftState.APPROVED.value else None
    days = policy.notice_days if notice_days is None else notice_days
    if coming is not None and coming.touched and days:
        resources.advance(row, StepKind.ANNOUNCED)
        await _announce(tx, row, coming, days=days, by=by, reason=reason, public_url=public_url, now=now)
        return row
    resources.advance(row, StepKind.PUBLISHED)
    await _refuse(tx, row, Settled.model_validate(row.draft), now=now)
    await _put_in_force(tx, row, by=by.subject, role="authority", reason=reason, public_url=public_url, now=now)
    return row


async def come_in_force(tx: AsyncSession, resource_id: UUID, *, public_url: str, now: datetime) -> store.Resource | None:
    """Put an announced version in force when its notice is over; None when it is not due (any more).

    A version that meanwhile breaks a rule, whose name was taken or whose provider's paper lapsed, goes back to its steward with the faults.
    Emits: catalog.resource.changed.v1 or .returned.v1.
    """
    known = await store.get(tx, resource_id)
    await organizations.get(tx, known.organization_id, lock=True)
    row = await store.get(tx, resource_id, lock=True)
    if row.effective_at is None or row.effective_at > now or row.draft_state != DraftState.ANNOUNCED.value:
        return None
    announced = await steps.last(tx, resource_id, StepKind.ANNOUNCED.value)
    assert announced is not None, "an announced draft has its step"
    try:
        await _refuse(tx, row, Settled.model_validate(row.draft), now=now)
    except (ResourceInvalid, ResourceNameTaken, PaperNotGood) as broken:
        faults = broken.members["errors"]
        reason = "公告期满时不再符合规则 no longer keeps the rules on the day it was to come in force"
        await _give_back(tx, row, reason=reason, faults=faults, by=_CATALOGUE, role=domain.CATALOGUE, now=now)
        return row
    row.draft_state = None
    await _put_in_force(tx, row, by=announced.by, role=domain.CATALOGUE, reason=None, public_url=public_url, now=now)
    return row


@dataclass(frozen=True, slots=True)
class Coming:
    """What a draft changes, and whom that touches."""

    diff: diff.Diff
    touched: tuple[TouchedGrant, ...]


async def preview(tx: AsyncSession, resource_id: UUID, *, by: Principal, now: datetime) -> Coming:
    """Return what the draft would change of the version in force, and the grants it touches: to others only their own.

    Raises: ResourceNotFound (404) without a draft the caller sees and a version in force.
    """
    row = await resources.get_visible(tx, resource_id, by=by)
    sees_all = resources.reads_draft(by, row.organization_id)
    coming = await _coming(tx, row, now=now) if sees_all or row.draft_state == DraftState.ANNOUNCED.value else None
    if coming is None:
        raise ResourceNotFound(f"no resource you may see has the id {resource_id}, a version in force and a draft beside it")
    if sees_all:
        return coming
    return Coming(coming.diff, tuple(grant for grant in coming.touched if grant.requester_id == by.organization_id))


async def _coming(tx: AsyncSession, row: store.Resource, *, now: datetime) -> Coming | None:
    if row.definition is None or row.draft is None:
        return None
    found = diff.of(Settled.model_validate(row.definition), Settled.model_validate(row.draft))
    if not found.breaking:
        return Coming(found, ())
    in_force = {grant.grant_id: grant for grant in await grants.list_of(tx, row.resource_id, now=now)}
    ids = domain.touched(found.broken_items, found.breaks_all, [(one.grant_id, one.items) for one in in_force.values()])
    broken = set(found.broken_items)
    touched = tuple(
        TouchedGrant(
            grant_id=grant_id,
            requester_id=in_force[grant_id].requester_id,
            requester_name=in_force[grant_id].requester_name,
            items=tuple(item for item in in_force[grant_id].items if found.breaks_all or item in broken),
        )
        for grant_id in ids
    )
    return Coming(found, touched)


async def _announce(
    tx: AsyncSession, row: store.Resource, coming: Coming, *, days: int, by: Principal, reason: str | None, public_url: str, now: datetime
) -> None:
    entry = Settled.model_validate(row.draft)
    await _refuse(tx, row, entry, now=now)
    effective_at = domain.effective_at(now, days)
    event = ResourceChangeAnnounced(
        resource_id=row.resource_id,
        resource=await _snapshot(tx, row, entry, public_url=public_url, now=effective_at),
        effective_at=effective_at,
        announced_at=now,
        broken_items=tuple(coming.diff.broken_items),
        breaks_all=coming.diff.breaks_all,
        grants=coming.touched,
    )
    _refuse_too_large(event)
    row.effective_at = effective_at
    detail = {"effective_at": effective_at.isoformat(), "grants": [str(grant.grant_id) for grant in coming.touched]}
    resources.enter_step(tx, row, StepKind.ANNOUNCED, by=by.subject, role="authority", now=now, reason=reason, detail=detail)
    await tx.flush()
    await duties.on_announcement(tx, row.resource_id, version=row.version + 1, by=by.subject, now=now)
    await outbox.add(tx, event, now=now)


async def _put_in_force(
    tx: AsyncSession,
    row: store.Resource,
    *,
    by: str,
    role: str,
    reason: str | None,
    public_url: str,
    now: datetime,
) -> None:
    entry = Settled.model_validate(row.draft)
    snapshot = await _snapshot(tx, row, entry, public_url=public_url, now=now)
    row.version = snapshot.version
    kind = ResourcePublished if row.version == 1 else ResourceChanged
    event = kind(resource_id=row.resource_id, resource=snapshot)
    _refuse_too_large(event)
    row.state = resource_domain.State.PUBLISHED.value
    row.definition, row.draft, row.published_at, row.effective_at = row.draft, None, now, None
    row.show(entry)
    resources.enter_step(tx, row, StepKind.PUBLISHED, by=by, role=role, now=now, reason=reason, version=row.version)
    tx.add(
        store.ResourceVersion(
            resource_id=row.resource_id,
            version=row.version,
            snapshot=snapshot.model_dump(mode="json"),
            published_at=now,
            published_by=by,
        )
    )
    await tx.flush()
    await duties.on_publication(tx, row.resource_id, version=row.version, by=by, now=now)
    await outbox.add(tx, event, now=now)


async def _give_back(
    tx: AsyncSession, row: store.Resource, *, reason: str, faults: Sequence[dict[str, Any]], by: str, role: str, now: datetime
) -> None:
    was_announced = row.draft_state == DraftState.ANNOUNCED.value
    resources.advance(row, StepKind.RETURNED)
    row.effective_at = None
    found = domain.merged(faults, await _faults(tx, row, Settled.model_validate(row.draft)))
    resources.enter_step(tx, row, StepKind.RETURNED, by=by, role=role, now=now, reason=reason, detail={"faults": found})
    await tx.flush()
    await duties.end_review(tx, row.resource_id, by=by, reason=reason, now=now)
    if was_announced:
        await duties.on_calling_off(tx, row.resource_id, version=row.version + 1, by=by, reason=reason, now=now)
    event = ResourceReturned(
        **await _waiting(tx, row),
        reason=reason,
        fault_count=len(found),
        was_announced=was_announced,
        returned_at=now,
        returned_by=by,
    )
    await outbox.add(tx, event, now=now)


async def _faults(tx: AsyncSession, row: store.Resource, entry: Settled) -> list[Fault]:
    known = await resources.facts(tx, entry, organization_id=row.organization_id, row=row)
    listed = await lists.negative_faults(tx, entry, organization_id=row.organization_id, resource_id=row.resource_id)
    return [*rules.faults(entry, known), *rules.missing(entry), *listed]


async def _refuse_without_paper(tx: AsyncSession, row: store.Resource, *, now: datetime) -> None:
    parties.refuse_without_paper(await organizations.get(tx, row.organization_id), now=now)


async def _refuse(tx: AsyncSession, row: store.Resource, entry: Settled, *, now: datetime) -> None:
    await _refuse_without_paper(tx, row, now=now)
    resources.refuse(await _faults(tx, row, entry))
    await resources.refuse_taken(tx, row.organization_id, entry.name, other_than=row.resource_id)


async def _snapshot(tx: AsyncSession, row: store.Resource, entry: Settled, *, public_url: str, now: datetime) -> ResourceSnapshot:
    return resource_domain.snapshot(
        entry,
        resource_id=row.resource_id,
        resource_code=row.resource_code,
        version=row.version + 1,
        provider=resources.provider_ref(await organizations.get(tx, row.organization_id)),
        public_url=public_url,
        now=now,
    )


def _refuse_too_large(event: ResourcePublished | ResourceChanged | ResourceChangeAnnounced) -> None:
    if (size := len(event.encode())) > resource_domain.MAX_EVENT_BYTES:
        most = resource_domain.MAX_EVENT_BYTES
        resources.refuse([("/items", f"the entry takes {size} bytes as JSON; at most {most} fit one event: shorten it")])


async def _waiting(tx: AsyncSession, row: store.Resource) -> dict[str, Any]:
    """Return what every event of a draft's way carries."""
    return {
        "resource_id": row.resource_id,
        "version": row.version + 1,
        "revision": row.revision,
        "provider": resources.provider_ref(await organizations.get(tx, row.organization_id)),
    }
