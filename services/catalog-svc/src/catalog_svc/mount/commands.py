"""What changes mounts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.etag import Tags, counted, refuse_other
from catalog_svc.mount import domain, store
from catalog_svc.mount.domain import MountKind, MountStep
from catalog_svc.mount.errors import MountInvalid, NotMountable, NotMounted
from catalog_svc.resource import store as resources
from catalog_svc.resource.commands import provider_ref, reads_draft
from catalog_svc.resource.errors import ResourceNotFound
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import UpdateCycle
from dxmesh_schemas.catalog_events import ResourceMountChanged, ResourceStale
from dxmesh_schemas.exchange import BatchAccepted, DeliveryCompleted
from dxmesh_schemas.exchange_usage import ApiUsed
from dxmesh_schemas.problem import Forbidden

_TOLD_AT_ONCE = 500
READS_ALL = ("authority", "operator", "auditor")


def reads_of(who: Principal) -> UUID | None:
    """Return the organization whose lists the caller sees, None for all. Raises: Forbidden (403)."""
    return None if any(who.has(role) for role in READS_ALL) else who.own_organization


def sees_address(who: Principal, organization_id: UUID) -> bool:
    """Say whether the caller sees where the provider's interface is: anyone of the provider, or who reads all."""
    return who.organization_id == organization_id or any(who.has(role) for role in READS_ALL)


async def get_visible(tx: AsyncSession, resource_id: UUID, *, by: Principal, lock: bool = False) -> resources.Resource:
    """Return a resource the caller may know of. Raises: ResourceNotFound (404), also for another's draft."""
    row = await resources.get(tx, resource_id, lock=lock)
    if not row.version and not reads_draft(by, row.organization_id):
        raise ResourceNotFound(f"no resource you may see has the id {resource_id}")
    return row


async def mount(
    tx: AsyncSession, resource_id: UUID, *, kind: MountKind, address: str | None, by: Principal, now: datetime, if_match: Tags = None
) -> None:
    """Say how a resource's data are reached; the same again changes nothing, another address is to be confirmed anew.

    Raises: ResourceNotFound (404), Forbidden (403), EntryPassed (412), MountInvalid (422), NotMountable (409).
    Emits: catalog.resource.mount_changed.v1.
    """
    row = await _editable(tx, resource_id, by=by, if_match=if_match)
    faults = list(domain.faults(kind, address))
    if faults:
        raise MountInvalid.of(faults)
    _refuse_out_of_force(row)
    known = await store.find(tx, resource_id)
    if known is not None and (known.kind, known.address) == (kind.value, address):
        return
    if known is None:
        known = store.Mount(resource_id=resource_id)
        tx.add(known)
    known.kind, known.address, known.mounted_at, known.mounted_by = kind.value, address, now, by.subject
    known.confirmed_at, known.confirmed_by = None, None
    _note(tx, known, MountStep.MOUNTED, by=by.subject, reason=None, now=now)
    await tx.flush()
    await outbox.add(tx, _changed(known, now), now=now)


async def confirm(tx: AsyncSession, resource_id: UUID, *, evidence: str, by: Principal, now: datetime, if_match: Tags = None) -> None:
    """Confirm that a proxy's interface answers, saying what was called (the data authority); again dates it anew.

    Raises: ResourceNotFound (404), EntryPassed (412), NotMountable (409), NotMounted (409).
    Emits: catalog.resource.mount_changed.v1.
    """
    row = await get_visible(tx, resource_id, by=by, lock=True)
    refuse_other(if_match, await etag(tx, resource_id))
    _refuse_out_of_force(row)
    known = await store.find(tx, resource_id)
    if known is None or known.kind != MountKind.PROXY:
        raise NotMounted("only a proxy is confirmed; a replica is shown by the batches that are accepted")
    known.confirmed_at, known.confirmed_by = now, by.subject
    _note(tx, known, MountStep.CONFIRMED, by=by.subject, reason=evidence, now=now)
    await tx.flush()
    await outbox.add(tx, _changed(known, now), now=now)


async def remove(tx: AsyncSession, resource_id: UUID, *, reason: str, by: Principal, now: datetime, if_match: Tags = None) -> None:
    """Take a resource's mount away, with the reason (政务数据共享条例 Art. 27: no service ends without cause).

    Raises: ResourceNotFound (404), Forbidden (403), EntryPassed (412), NotMounted (409).
    Emits: catalog.resource.mount_changed.v1.
    """
    await _editable(tx, resource_id, by=by, if_match=if_match)
    known = await store.find(tx, resource_id)
    if known is None:
        raise NotMounted("the resource has no mount that could be taken away")
    _note(tx, known, MountStep.REMOVED, by=by.subject, reason=reason, now=now)
    await tx.delete(known)
    await tx.flush()
    await outbox.add(tx, ResourceMountChanged(resource_id=resource_id, changed_at=now), now=now)


async def note_batches(tx: AsyncSession, accepted: Sequence[BatchAccepted]) -> None:
    """Enter accepted batches; a resource without a mount is mounted as a replica by the first of them.

    Batches of resources that are not known here are kept too: they count as soon as the resource is.
    """
    newest: dict[UUID, BatchAccepted] = {}
    first: dict[UUID, datetime] = {}
    most: dict[UUID, int] = {}
    for event in accepted:
        key = event.resource_id
        if key not in newest or event.accepted_at > newest[key].accepted_at:
            newest[key] = event
        first[key] = min(first.get(key, event.accepted_at), event.accepted_at)
        most[key] = max(most.get(key, 0), event.sequence)
    if not newest:
        return
    await store.note_arrivals(
        tx,
        [
            {
                "resource_id": key,
                "first_accepted_at": first[key],
                "accepted_at": event.accepted_at,
                "batch_id": event.batch_id,
                "batch_count": most[key],
                "row_count": event.accepted_count,
            }
            for key, event in newest.items()
        ],
    )
    bare = await store.unmounted(tx, newest)
    if not bare:
        return
    source, kind = BatchAccepted.SOURCE, MountKind.REPLICA.value
    rows = [{"resource_id": key, "kind": kind, "mounted_at": first[key], "mounted_by": source} for key in bare]
    for key in await store.add_if_absent(tx, rows):
        made = store.Mount(resource_id=key, kind=kind, address=None)
        _note(tx, made, MountStep.MOUNTED, by=source, reason="a batch was accepted", now=first[key])


async def etag(tx: AsyncSession, resource_id: UUID) -> str:
    """Return the entity tag of a resource's mount, also where there is none (any more)."""
    return counted(await store.step_count(tx, resource_id))


async def note_deliveries(tx: AsyncSession, completed: Sequence[DeliveryCompleted]) -> None:
    """Enter when rows of resources reached a reader."""
    await _note_outflows(tx, [(event.resource_id, event.completed_at) for event in completed])


async def note_calls(tx: AsyncSession, used: Sequence[ApiUsed]) -> None:
    """Enter when resources' APIs were last called; hours in which every call was refused are none in which anything went out."""
    await _note_outflows(tx, [(event.resource_id, event.last_called_at) for event in used if event.call_count])


async def _note_outflows(tx: AsyncSession, flows: Sequence[tuple[UUID, datetime]]) -> None:
    newest: dict[UUID, datetime] = {}
    for resource_id, at in flows:
        newest[resource_id] = max(newest.get(resource_id, at), at)
    if newest:
        await store.note_outflows(tx, newest)


async def tell_stale(tx: AsyncSession, now: datetime) -> int:
    """Tell of resources that became stale, once for the same newest data; return of how many. Tellers at once share the work.

    Emits: catalog.resource.stale.v1.
    """
    found = await store.list_stale(tx, of=None, today=day_of(now), after=None, limit=_TOLD_AT_ONCE, untold=True)
    if not found:
        return 0
    told = await store.note_told(tx, found, now=now)
    events = [_stale_event(row) for row in found if row[0].resource_id in told]
    await outbox.add_all(tx, events, now=now)
    return len(events)


def _stale_event(row: store.Stale) -> ResourceStale:
    resource, owner, arrival, newest_at, fresh_through, steward = row
    return ResourceStale(
        resource_id=resource.resource_id,
        resource_code=resource.resource_code,
        name=resource.name,
        provider=provider_ref(owner),
        steward=steward,
        update_cycle=UpdateCycle(resource.update_cycle),
        evidence="version" if arrival is None else "batch",
        newest_at=newest_at,
        fresh_through=fresh_through,
    )


async def _editable(tx: AsyncSession, resource_id: UUID, *, by: Principal, if_match: Tags) -> resources.Resource:
    row = await get_visible(tx, resource_id, by=by, lock=True)
    if not (by.has("authority") or (by.has("steward") and by.organization_id == row.organization_id)):
        raise Forbidden("a resource is mounted by a steward of its provider or the data authority")
    refuse_other(if_match, await etag(tx, resource_id))
    return row


def _refuse_out_of_force(row: resources.Resource) -> None:
    if not row.version or row.withdrawn_at is not None:
        raise NotMountable("only a published resource is mounted, and until it is withdrawn; publish it first", state=row.state)


def _changed(row: store.Mount, now: datetime) -> ResourceMountChanged:
    return ResourceMountChanged(
        resource_id=row.resource_id,
        kind=MountKind(row.kind).value,
        address=row.address,
        confirmed_at=row.confirmed_at,
        changed_at=now,
    )


def _note(tx: AsyncSession, row: store.Mount, step: MountStep, *, by: str, reason: str | None, now: datetime) -> None:
    tx.add(
        store.MountStep(
            step_id=uuid7(),
            resource_id=row.resource_id,
            step=step.value,
            kind=row.kind,
            address=row.address,
            by=by,
            reason=reason,
            at=now,
        )
    )
