"""What changes information systems."""

from datetime import datetime
from typing import TypedDict, Unpack
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.etag import Tags, refuse_passed
from catalog_svc.organization import store as organizations
from catalog_svc.sector import store as sectors
from catalog_svc.sector.domain import reached
from catalog_svc.system import domain, store
from catalog_svc.system.domain import Main
from catalog_svc.system.errors import NothingCatalogued, OffCloud, StillCatalogued, SystemInvalid, SystemNameTaken
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import SystemKind, SystemState
from dxmesh_schemas.catalog_events import SystemChanged, SystemEvent, SystemRegistered
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import comparable

_NAMED_AT_MOST = 20


class Extras(TypedDict, total=False):
    """What of a system may be left out: as it was, or nothing at first."""

    kind: SystemKind
    on_gov_cloud: bool | None
    is_main_system: bool
    sector: str | None


async def register(
    tx: AsyncSession, organization_id: UUID, *, name: str, by: Principal, now: datetime, **extras: Unpack[Extras]
) -> store.System:
    """Enter a planned system of an organization, whose row is locked so that its names are compared one at a time.

    Raises: OrganizationNotFound (404), SystemNameTaken (409), SystemInvalid, SectorUnknown (422), CapReached (409), Forbidden (403).
    Emits: catalog.system.registered.v1.
    """
    await organizations.get(tx, organization_id, lock=True)
    await _refuse_taken(tx, organization_id, name)
    main = Main(extras.get("is_main_system", False), extras.get("sector"))
    await _settle_main(tx, main, before=Main(), system_id=None, by=by)
    row = store.System(
        system_id=uuid7(),
        organization_id=organization_id,
        name=name,
        name_key=comparable(name),
        kind=extras.get("kind", SystemKind.OWN).value,
        state=SystemState.PLANNED.value,
        on_gov_cloud=extras.get("on_gov_cloud"),
        is_main_system=main.is_main_system,
        sector=main.sector,
        registered_at=now,
        changed_at=now,
    )
    tx.add(row)
    await tx.flush()
    await store.add_step(tx, row, by=by.subject, reason=None, now=now)
    await outbox.add(tx, _event(SystemRegistered, row), now=now)
    return row


async def change(
    tx: AsyncSession,
    system_id: UUID,
    *,
    of: UUID | None,
    name: str,
    by: Principal,
    now: datetime,
    if_match: Tags = None,
    **extras: Unpack[Extras],
) -> store.System:
    """Change a system's entry; the same entry again changes nothing.

    Raises: SystemNotFound (404), EntryPassed (412), SystemTransition (409) for a retired one, SystemNameTaken (409),
    SystemInvalid, SectorUnknown (422), CapReached (409), Forbidden (403), OffCloud (409) for one that serves.
    Emits: catalog.system.changed.v1, when something changed.
    """
    row = await _locked(tx, system_id, of=of)
    refuse_passed(if_match, row.changed_at)
    domain.refuse_change(SystemState(row.state))
    before = Main(row.is_main_system, row.sector)
    main = Main(extras.get("is_main_system", before.is_main_system), extras.get("sector", before.sector))
    kind = extras.get("kind", SystemKind(row.kind)).value
    wanted = (name, kind, extras.get("on_gov_cloud", row.on_gov_cloud), main)
    if (row.name, row.kind, row.on_gov_cloud, before) == wanted:
        return row
    was_on_cloud = domain.cloud_fault(SystemKind(row.kind), row.on_gov_cloud) is None
    if row.state == SystemState.IN_SERVICE and was_on_cloud and not by.has("authority"):
        _refuse_off_cloud(SystemKind(wanted[1]), wanted[2])
    if row.name_key != comparable(name):
        await _refuse_taken(tx, row.organization_id, name)
    await _settle_main(tx, main, before=before, system_id=system_id, by=by)
    row.name, row.kind, row.on_gov_cloud, _ = wanted
    row.name_key, row.is_main_system, row.sector = comparable(name), main.is_main_system, main.sector
    await _tell(tx, row, now)
    return row


async def enter_service(
    tx: AsyncSession, system_id: UUID, *, of: UUID | None, reason: str | None, by: Principal, now: datetime
) -> store.System:
    """Put a planned system in service, once something of it is catalogued; off the government cloud by the authority, with the reason.

    Raises: SystemNotFound (404), SystemTransition (409), NothingCatalogued (409) naming the drafts that wait, OffCloud (409).
    Emits: catalog.system.changed.v1.
    Source: new systems are entered in the catalogue before they serve (「并按照规定编入政务信息资源目录」).
    """
    row = await _locked(tx, system_id, of=of)
    state = domain.advance(SystemState(row.state), SystemState.IN_SERVICE)
    resources = await store.resources_of(tx, system_id)
    if not any(resource.version for resource in resources):
        drafts = [str(resource.resource_id) for resource in resources[:_NAMED_AT_MOST]]
        remedy = "have its draft published" if drafts else "enter what it will hold with POST /v1/resources and have it published"
        raise NothingCatalogued(f"no resource of {row.name} is in force; {remedy}, then send this again", drafts=drafts)
    if not (by.has("authority") and reason):
        _refuse_off_cloud(SystemKind(row.kind), row.on_gov_cloud)
    return await _step(tx, row, state, by=by, reason=reason, now=now)


async def retire(tx: AsyncSession, system_id: UUID, *, of: UUID | None, reason: str, by: Principal, now: datetime) -> store.System:
    """Take a system out of service for good; a main system gives its place up.

    Raises: SystemNotFound (404), SystemTransition (409), StillCatalogued (409) naming the resources in force.
    Emits: catalog.system.changed.v1.
    """
    row = await _locked(tx, system_id, of=of)
    state = domain.advance(SystemState(row.state), SystemState.RETIRED)
    in_force = [resource for resource in await store.resources_of(tx, system_id) if resource.version]
    if in_force:
        remedy = "withdraw them (POST /v1/resources/{id}/withdrawal) or publish a version on another system first"
        named = [{"resource_id": str(resource.resource_id), "name": resource.name} for resource in in_force[:_NAMED_AT_MOST]]
        raise StillCatalogued(
            f"{len(in_force)} resources of {row.name} are in force; {remedy}", resource_count=len(in_force), resources=named
        )
    row.is_main_system = False
    return await _step(tx, row, state, by=by, reason=reason, now=now)


def _refuse_off_cloud(kind: SystemKind, on_gov_cloud: bool | None) -> None:
    fault = domain.cloud_fault(kind, on_gov_cloud)
    if fault is not None:
        pointer, what = fault
        raise OffCloud.at(pointer, what)


async def _locked(tx: AsyncSession, system_id: UUID, *, of: UUID | None) -> store.System:
    """Lock the system by its organization, as every change of its resources does; then read it anew."""
    row = await store.get(tx, system_id, of=of)
    await organizations.get(tx, row.organization_id, lock=True)
    await tx.refresh(row)
    return row


async def _step(
    tx: AsyncSession, row: store.System, state: SystemState, *, by: Principal, reason: str | None, now: datetime
) -> store.System:
    row.state = state.value
    await store.add_step(tx, row, by=by.subject, reason=reason, now=now)
    await _tell(tx, row, now)
    return row


async def _tell(tx: AsyncSession, row: store.System, now: datetime) -> None:
    row.changed_at = now
    await outbox.add(tx, _event(SystemChanged, row), now=now)


async def _settle_main(tx: AsyncSession, main: Main, *, before: Main, system_id: UUID | None, by: Principal) -> None:
    """Refuse a main system that is not the authority's choice, of no known sector, or one too many."""
    if main == before:
        return
    if (main.is_main_system or before.is_main_system) and not by.has("authority"):
        raise Forbidden("which systems are a sector's main ones is decided by the data authority")
    faults = domain.main_faults(main)
    if faults:
        raise SystemInvalid.of(faults)
    if main.sector is None:
        return
    sector = await sectors.lock(tx, main.sector, pointer="/sector")
    if main.is_main_system:
        others = [other for other in await store.main_of(tx, [main.sector]) if other.system_id != system_id]
        if len(others) >= sector.main_system_cap:
            present = [{"system_id": str(other.system_id), "name": other.name} for other in others]
            remedy = "lower the flag of one (PUT /v1/systems/{id})"
            raise reached(sector.name, "main systems", sector.main_system_cap, present, remedy=remedy)


async def _refuse_taken(tx: AsyncSession, organization_id: UUID, name: str) -> None:
    known = await store.find_by_name(tx, organization_id, comparable(name))
    if known is not None:
        raise SystemNameTaken.at("/name", f"the organization has a system called {known.name!r}; use it", system_id=str(known.system_id))


def _event(kind: type[SystemEvent], row: store.System) -> SystemEvent:
    return kind(
        system_id=row.system_id,
        organization_id=row.organization_id,
        name=row.name,
        kind=SystemKind(row.kind),
        state=SystemState(row.state),
        on_gov_cloud=row.on_gov_cloud,
        is_main_system=row.is_main_system,
        sector=row.sector,
    )
