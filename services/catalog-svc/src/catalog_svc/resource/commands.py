"""What changes data resources."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.code_set import store as code_sets
from catalog_svc.organization import store as organizations
from catalog_svc.resource import domain, rules, store
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.domain import CodeScheme, State
from catalog_svc.resource.errors import ResourceInvalid, ResourceNameTaken, ResourceNotFound, RevisionPassed
from catalog_svc.system import store as systems
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import DataItem, OrganizationRef
from dxmesh_schemas.catalog_events import ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import comparable, unseen


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
        _refuse(rules.faults(entry, rules.Facts(system_name=None)), only="/system_id")
        raise AssertionError("a missing system is a fault")
    await organizations.get(tx, system.organization_id, lock=True)
    _refuse(rules.faults(entry, await _facts(tx, entry, organization_id=system.organization_id, row=None)))
    await _refuse_taken(tx, system.organization_id, entry.name, other_than=None)
    settled = domain.settle(entry, before=None, now=now)
    prefix = scheme.prefix(entry.class_path)
    row = store.Resource(
        resource_id=uuid7(),
        organization_id=system.organization_id,
        resource_code=scheme.code(prefix, await store.next_number(tx, prefix)),
        state=State.DRAFT.value,
        version=0,
        revision=1,
        definition=None,
        draft=settled.model_dump(mode="json"),
        created_at=now,
        changed_at=now,
    )
    row.show(settled)
    tx.add(row)
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

    Raises: ResourceNotFound (404), Forbidden (403), RevisionPassed (412), IllegalTransition (409), ResourceInvalid (422),
    ResourceNameTaken (409).
    """
    row = await _locked(tx, resource_id, by=by, revisions=revisions)
    domain.refuse_change(State(row.state))
    _refuse(rules.faults(entry, await _facts(tx, entry, organization_id=row.organization_id, row=row)))
    await _refuse_taken(tx, row.organization_id, entry.name, other_than=resource_id)
    latest = row.draft or row.definition
    before = Settled.model_validate(latest) if latest is not None else None
    settled = domain.settle(entry, before=before, now=now)
    if row.version == 0:
        row.show(settled)
        if before is not None and (prefix := scheme.prefix(entry.class_path)) != scheme.prefix(before.class_path):
            row.resource_code = scheme.code(prefix, await store.next_number(tx, prefix))
    row.draft = settled.model_dump(mode="json")
    _touch(row, now)
    return row


async def publish(
    tx: AsyncSession, resource_id: UUID, *, by: Principal, revisions: Sequence[int] | None, public_url: str, now: datetime
) -> store.Resource:
    """Put a draft in force as an immutable version. The rules are kept again now, as what they look at may have changed.

    Raises: ResourceNotFound (404), RevisionPassed (412), IllegalTransition (409), ResourceInvalid (422), ResourceNameTaken (409).
    Emits: catalog.resource.published.v1 for the first version, .changed.v1 for later ones.
    Source: 政务数据共享条例 Art. 16-17.
    """
    row = await _locked(tx, resource_id, by=by, revisions=revisions)
    row.state = domain.publish(State(row.state), has_draft=row.draft is not None).value
    entry = Settled.model_validate(row.draft)
    _refuse(rules.faults(entry, await _facts(tx, entry, organization_id=row.organization_id, row=row)))
    await _refuse_taken(tx, row.organization_id, entry.name, other_than=resource_id)
    organization = await organizations.get(tx, row.organization_id)
    row.version += 1
    snapshot = domain.snapshot(
        entry,
        resource_id=resource_id,
        resource_code=row.resource_code,
        version=row.version,
        provider=provider_ref(organization),
        public_url=public_url,
        now=now,
    )
    kind = ResourcePublished if row.version == 1 else ResourceChanged
    event = kind(resource_id=resource_id, resource=snapshot)
    if (size := len(event.encode())) > domain.MAX_EVENT_BYTES:
        _refuse([("/items", f"the entry takes {size} bytes as JSON; at most {domain.MAX_EVENT_BYTES} fit one event: shorten it")])
    row.definition, row.draft, row.published_at = row.draft, None, now
    row.show(entry)
    _touch(row, now)
    tx.add(
        store.ResourceVersion(
            resource_id=resource_id,
            version=row.version,
            snapshot=snapshot.model_dump(mode="json"),
            published_at=now,
            published_by=by.subject,
        )
    )
    await tx.flush()
    await outbox.add(tx, event, now=now)
    return row


async def withdraw(tx: AsyncSession, resource_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.Resource:
    """Take a resource out of force for good; its name is free again, its versions stay readable.

    Raises: ResourceNotFound (404), Forbidden (403), IllegalTransition (409).
    Emits: catalog.resource.withdrawn.v1.
    """
    row = await _locked(tx, resource_id, by=by, revisions=None)
    row.state = domain.withdraw(State(row.state)).value
    row.withdrawn_at, row.withdrawal_reason, row.draft = now, reason, None
    _touch(row, now)
    await outbox.add(tx, ResourceWithdrawn(resource_id=resource_id, reason=reason, withdrawn_at=now), now=now)
    return row


async def get_visible(tx: AsyncSession, resource_id: UUID, *, by: Principal) -> store.Resource:
    """Return a resource the caller may know of. Raises: ResourceNotFound (404), also for another's draft."""
    row = await store.get(tx, resource_id)
    if row.state == State.DRAFT.value and not reads_draft(by, row.organization_id):
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


async def _locked(tx: AsyncSession, resource_id: UUID, *, by: Principal, revisions: Sequence[int] | None) -> store.Resource:
    """Lock the provider, then the resource: always in this order, so that two changes never wait for each other."""
    row = await get_visible(tx, resource_id, by=by)
    if not may_edit(by, row.organization_id):
        raise Forbidden("a resource is changed by a steward of its provider or the data authority")
    await organizations.get(tx, row.organization_id, lock=True)
    row = await store.get(tx, resource_id, lock=True)
    if revisions is not None and row.revision not in revisions:
        raise RevisionPassed("read the resource again and repeat the change on what it is now", revision=row.revision)
    return row


def _touch(row: store.Resource, now: datetime) -> None:
    row.revision += 1
    row.changed_at = now


async def _facts(tx: AsyncSession, entry: Definition | Settled, *, organization_id: UUID, row: store.Resource | None) -> rules.Facts:
    system = await systems.find(tx, entry.system_id)
    # a name with U+0000 is a fault by itself, and PostgreSQL would not even look for it
    named = {item.code_set.name for item in entry.items if item.code_set and unseen(item.code_set.name) is None}
    published = await store.definitions_of_published(tx, {item.reference.resource_id for item in entry.items if item.reference})
    return rules.Facts(
        system_name=system.name if system is not None and system.organization_id == organization_id else None,
        code_sets=await code_sets.newest_versions(tx, named),
        referenced={key: [DataItem.model_validate(item) for item in definition["items"]] for key, definition in published.items()},
        resource_id=row.resource_id if row is not None else None,
        published=Settled.model_validate(row.definition) if row is not None and row.definition is not None else None,
    )


def _refuse(faults: Sequence[rules.Fault], *, only: str | None = None) -> None:
    found = [fault for fault in faults if only in (None, fault[0])]
    if found:
        detail = "; ".join(f"{pointer}: {what}" for pointer, what in found[:5])
        raise ResourceInvalid(detail, errors=[{"pointer": pointer, "detail": what} for pointer, what in found])


async def _refuse_taken(tx: AsyncSession, organization_id: UUID, name: str, *, other_than: UUID | None) -> None:
    known = await store.find_by_name(tx, organization_id, comparable(name), other_than=other_than)
    if known is not None:
        detail = f"the provider has a resource called {known.name!r}; choose another name or change that one"
        raise ResourceNameTaken(detail, errors=[{"pointer": "/name", "detail": detail}], resource_id=str(known.resource_id))
