"""What enters, changes and withdraws data resources."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.code_set import store as code_sets
from catalog_svc.duty import commands as duties
from catalog_svc.organization import store as organizations
from catalog_svc.resource import domain, rules, store
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.domain import CodeScheme, State
from catalog_svc.resource.errors import ResourceInvalid, ResourceNameTaken, ResourceNotFound, RevisionPassed
from catalog_svc.step import domain as steps
from catalog_svc.step import store as step_store
from catalog_svc.step.domain import DraftState, StepKind
from catalog_svc.system import store as systems
from catalog_svc.taxonomy import store as taxonomies
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import DataItem, OrganizationRef
from dxmesh_schemas.catalog_events import ResourceWithdrawn
from dxmesh_schemas.problem import Fault, Forbidden
from dxmesh_schemas.text import comparable, unseen

May = Callable[[Principal, UUID], bool]


def may_edit(who: Principal, organization_id: UUID) -> bool:
    """Say whether the caller keeps this provider's entries: its own steward, or the data authority."""
    return who.has("authority") or (who.has("steward") and who.organization_id == organization_id)


def reads_draft(who: Principal, organization_id: UUID) -> bool:
    """Say whether the caller sees this provider's drafts: anyone of the provider, or the data authority."""
    return who.has("authority") or who.organization_id == organization_id


async def create(
    tx: AsyncSession, entry: Definition, *, by: Principal, now: datetime, scheme: CodeScheme = domain.NATIONAL
) -> store.Resource:
    """Enter a resource as a draft of the provider whose system it hangs on.

    Raises: Forbidden (403), ResourceInvalid (422), ResourceNameTaken (409).
    """
    if not (by.has("authority") or by.has("steward")):
        raise Forbidden("resources are entered by a steward of the provider or the data authority")
    system = await systems.find(tx, entry.system_id)
    if system is None or not may_edit(by, system.organization_id):
        refuse(rules.faults(entry, rules.Facts(system_name=None)), only="/system_id")
        raise AssertionError("a missing system is a fault")
    organization = await organizations.get(tx, system.organization_id, lock=True)
    refuse(rules.faults(entry, await facts(tx, entry, organization_id=system.organization_id, row=None)))
    await refuse_taken(tx, system.organization_id, entry.name, other_than=None)
    settled = domain.settle(entry, before=None, now=now)
    prefix = scheme.prefix(entry.class_path, organization.uscc)
    row = store.Resource(
        resource_id=uuid7(),
        organization_id=system.organization_id,
        resource_code=scheme.code(prefix, await store.next_number(tx, prefix)),
        state=State.DRAFT.value,
        draft_state=DraftState.DRAFT.value,
        version=0,
        revision=0,
        definition=None,
        draft=settled.model_dump(mode="json"),
        created_at=now,
    )
    row.show(settled)
    tx.add(row)
    enter_step(tx, row, StepKind.DRAFTED, by=by.subject, role=editor_role(by), now=now)
    await tx.flush()
    return row


async def replace(
    tx: AsyncSession,
    resource_id: UUID,
    entry: Definition,
    *,
    by: Principal,
    revisions: Sequence[int] | None,
    now: datetime,
    scheme: CodeScheme = domain.NATIONAL,
) -> store.Resource:
    """Write a resource's next version as a draft; what is in force stays so until the draft is published.

    A draft that was submitted or approved is a draft again. Raises: ResourceNotFound (404), Forbidden (403), RevisionPassed (412),
    IllegalTransition (409, also while an announced version waits), ResourceInvalid (422), ResourceNameTaken (409).
    """
    row = await locked(tx, resource_id, by=by, revisions=revisions)
    advance(row, StepKind.DRAFTED)
    refuse(rules.faults(entry, await facts(tx, entry, organization_id=row.organization_id, row=row)))
    await refuse_taken(tx, row.organization_id, entry.name, other_than=resource_id)
    latest = row.draft or row.definition
    before = Settled.model_validate(latest) if latest is not None else None
    settled = domain.settle(entry, before=before, now=now)
    if row.version == 0:
        row.show(settled)
        await _code_anew(tx, row, before, entry, scheme)
    row.draft = settled.model_dump(mode="json")
    enter_step(tx, row, StepKind.DRAFTED, by=by.subject, role=editor_role(by), now=now)
    return row


async def withdraw(
    tx: AsyncSession, resource_id: UUID, *, reason: str, by: Principal, now: datetime, revisions: Sequence[int] | None = None
) -> store.Resource:
    """Take a resource out of force for good; its name is free again, its code never, its versions stay readable.

    Raises: ResourceNotFound (404), Forbidden (403), RevisionPassed (412), IllegalTransition (409).
    Emits: catalog.resource.withdrawn.v1.
    """
    row = await locked(tx, resource_id, by=by, revisions=revisions)
    row.state = domain.withdraw(State(row.state)).value
    row.withdrawn_at, row.withdrawal_reason, row.draft, row.draft_state, row.effective_at = now, reason, None, None, None
    enter_step(tx, row, StepKind.WITHDRAWN, by=by.subject, role=editor_role(by), now=now, reason=reason, version=row.version)
    await tx.flush()
    await duties.on_withdrawal(tx, resource_id, by=by.subject, reason=reason, now=now)
    await outbox.add(tx, ResourceWithdrawn(resource_id=resource_id, reason=reason, withdrawn_at=now), now=now)
    return row


async def get_visible(tx: AsyncSession, resource_id: UUID, *, by: Principal) -> store.Resource:
    """Return a resource the caller may know of. Raises: ResourceNotFound (404), also for another's draft."""
    row = await store.get(tx, resource_id)
    if row.state not in domain.KNOWN_TO_ALL and not reads_draft(by, row.organization_id):
        raise ResourceNotFound(f"no resource you may see has the id {resource_id}")
    return row


def provider_ref(organization: organizations.Organization) -> OrganizationRef:
    """Return an organization as a resource carries it."""
    return OrganizationRef(
        organization_id=organization.organization_id,
        uscc=organization.uscc,
        name=organization.name,
        division_code=organization.division_code,
    )


def editor_role(by: Principal) -> str:
    """Return in which role the caller keeps entries."""
    return "steward" if by.has("steward") else "authority"


async def locked(
    tx: AsyncSession, resource_id: UUID, *, by: Principal, revisions: Sequence[int] | None, may: May = may_edit, who: str = ""
) -> store.Resource:
    """Lock the provider, then the resource: always in this order, so that two changes never wait for each other.

    `who` says who may, when not those who edit. Raises: ResourceNotFound (404), Forbidden (403), RevisionPassed (412).
    """
    row = await get_visible(tx, resource_id, by=by)
    if not may(by, row.organization_id):
        raise Forbidden(who or "a resource is changed by a steward of its provider or the data authority")
    await organizations.get(tx, row.organization_id, lock=True)
    row = await store.get(tx, resource_id, lock=True)
    if revisions is not None and row.revision not in revisions:
        raise RevisionPassed("read the resource again and repeat the change on what it is now", revision=row.revision)
    return row


def advance(row: store.Resource, step: StepKind) -> None:
    """Take the draft to where a step leads it. Raises: IllegalTransition (409)."""
    known = DraftState(row.draft_state) if row.draft_state is not None else None
    draft = steps.advance(State(row.state), known, step)
    row.draft_state = draft.value if draft is not None else None
    if draft is not None:
        row.state = steps.state_beside(draft, row.version).value


def enter_step(
    tx: AsyncSession,
    row: store.Resource,
    step: StepKind,
    *,
    by: str,
    role: str,
    now: datetime,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
    version: int | None = None,
) -> None:
    """Count the change and write it down; it concerns the coming version unless another is given."""
    tx.add(count_step(row, step, by=by, role=role, now=now, reason=reason, detail=detail, version=version))


def count_step(
    row: store.Resource,
    step: StepKind,
    *,
    by: str,
    role: str,
    now: datetime,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
    version: int | None = None,
) -> step_store.ResourceStep:
    """Count the change and return the step, to be written with others."""
    row.revision += 1
    row.changed_at = now
    return step_store.ResourceStep(
        resource_id=row.resource_id,
        revision=row.revision,
        version=row.version + 1 if version is None else version,
        step=step.value,
        by=by,
        role=role,
        reason=reason,
        detail=detail,
        at=now,
    )


async def facts(tx: AsyncSession, entry: Definition | Settled, *, organization_id: UUID, row: store.Resource | None) -> rules.Facts:
    """Return what the rules must know beyond the entry."""
    system = await systems.find(tx, entry.system_id)
    # a name with U+0000 is a fault by itself, and PostgreSQL would not even look for it
    named = {item.code_set.name for item in entry.items if item.code_set and unseen(item.code_set.name) is None}
    newest, retired = await code_sets.known_among(tx, named)
    published = await store.definitions_of_published(tx, {item.reference.resource_id for item in entry.items if item.reference})
    ever = await store.items_ever(tx, row.resource_id) if row is not None and row.version else {}
    return rules.Facts(
        system_name=system.name if system is not None and systems.takes_resources(system, organization_id) else None,
        code_sets=newest,
        retired_code_sets=retired,
        referenced={key: [DataItem.model_validate(item) for item in definition["items"]] for key, definition in published.items()},
        taxonomies={one.code: one.retired_at is not None for one in await taxonomies.keep_codes(tx, entry.taxonomies)},
        resource_id=row.resource_id if row is not None else None,
        resource_code=row.resource_code if row is not None else None,
        published=Settled.model_validate(row.definition) if row is not None and row.definition is not None else None,
        kept={code: DataItem.model_validate(item) for code, item in ever.items()},
    )


def refuse(faults: Sequence[Fault], *, only: str | None = None) -> None:
    """Raise ResourceInvalid (422) when there is a fault."""
    found = [fault for fault in faults if only in (None, fault[0])]
    if found:
        raise ResourceInvalid.of(found)


async def refuse_taken(tx: AsyncSession, organization_id: UUID, name: str, *, other_than: UUID | None) -> None:
    """Raise ResourceNameTaken (409) when the provider has another resource of that name."""
    known = await store.find_by_name(tx, organization_id, comparable(name), other_than=other_than)
    if known is not None:
        detail = f"the provider has a resource called {known.name!r}; choose another name or change that one"
        raise ResourceNameTaken.at("/name", detail, resource_id=str(known.resource_id))


async def _code_anew(tx: AsyncSession, row: store.Resource, before: Settled | None, entry: Definition, scheme: CodeScheme) -> None:
    """Give a draft that moves to another class a new code; nobody else ever saw the old one, and nobody gets it."""
    if before is None or before.class_path == entry.class_path:
        return
    organization = await organizations.get(tx, row.organization_id)
    prefix = scheme.prefix(entry.class_path, organization.uscc)
    if prefix != scheme.prefix(before.class_path, organization.uscc):
        row.resource_code = scheme.code(prefix, await store.next_number(tx, prefix))
