"""What changes sectors, and what is master data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.etag import EntryPassed, Tags, refuse_passed
from catalog_svc.resource import commands as resources
from catalog_svc.resource import store as resource_store
from catalog_svc.resource.domain import State
from catalog_svc.sector import domain, store
from catalog_svc.sector.errors import NotInForce, SectorNameTaken
from catalog_svc.system import store as systems
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.text import comparable


async def put(
    tx: AsyncSession, sector: str, *, name: str, main_system_cap: int, master_data_cap: int, now: datetime, if_match: Tags = None
) -> tuple[store.Sector, bool]:
    """Register a sector or change it; return it and whether it is new.

    Raises: EntryPassed (412), also for a new one, SectorNameTaken (409), CapTooLow (409) when it has more than that already.
    """
    await store.lock_names(tx)
    known = await store.find_by_name(tx, comparable(name))
    if known is not None and known.sector != sector:
        detail = f"the sector {known.sector!r} is called {known.name!r}; change that one or choose another name"
        raise SectorNameTaken.at("/name", detail, sector=known.sector)
    row, is_new = await store.ensure(tx, sector, name=name, name_key=comparable(name), now=now)
    if is_new and if_match is not None:
        raise EntryPassed(f"no sector has the code {sector!r}; leave If-Match out to register it")
    refuse_passed(if_match, row.changed_at)
    mains = present_systems(await systems.main_of(tx, [sector]))
    if len(mains) > main_system_cap:
        raise domain.too_low("main systems", main_system_cap, mains, remedy="lower the flag of some first (PUT /v1/systems/{id})")
    masters = present_data(await store.master_data_of(tx, [sector]))
    if len(masters) > master_data_cap:
        raise domain.too_low("master data", master_data_cap, masters, remedy="take some out first (DELETE /v1/resources/{id}/master-data)")
    row.name, row.name_key, row.main_system_cap, row.master_data_cap = name, comparable(name), main_system_cap, master_data_cap
    row.changed_at = now
    await tx.flush()
    return row, is_new


async def mark(tx: AsyncSession, resource_id: UUID, *, sector: str, reason: str | None, by: Principal, now: datetime) -> store.MasterData:
    """Make a resource master data of a sector, while the sector has a place for it; once more moves it.

    Raises: ResourceNotFound (404), NotInForce (409), SectorUnknown (422), CapReached (409) naming the cap and who has the places.
    """
    await resources.get_visible(tx, resource_id, by=by)
    resource = await resource_store.get(tx, resource_id, lock=True)
    known_sector = await store.lock(tx, sector, pointer="/sector")
    if resource.version == 0 or resource.state == State.WITHDRAWN.value:
        raise NotInForce(f"the resource is {resource.state}; publish it first", state=resource.state)
    row = await store.find_master_data(tx, resource_id)
    if row is not None and (row.sector, row.reason) == (sector, reason):
        return row
    others = present_data([pair for pair in await store.master_data_of(tx, [sector]) if pair[0].resource_id != resource_id])
    if len(others) >= known_sector.master_data_cap:
        remedy = "take one out (DELETE /v1/resources/{id}/master-data)"
        raise domain.reached(known_sector.name, "master data", known_sector.master_data_cap, others, remedy=remedy)
    if row is None:
        row = store.MasterData(resource_id=resource_id)
        tx.add(row)
    row.sector, row.reason, row.marked_by, row.marked_at = sector, reason, by.subject, now
    await tx.flush()
    return row


async def unmark(tx: AsyncSession, resource_id: UUID) -> None:
    """Take a resource out of the master data. Raises: NotMasterData (404)."""
    await tx.delete(await store.get_master_data(tx, resource_id, lock=True))


def present_systems(rows: Sequence[systems.System]) -> list[dict[str, str]]:
    """Return main systems as problems and answers name them."""
    return [{"system_id": str(row.system_id), "name": row.name} for row in rows]


def present_data(rows: Sequence[Any]) -> list[dict[str, str]]:
    """Return master data as problems and answers name them; `rows` are pairs of MasterData and Resource."""
    return [{"resource_id": str(resource.resource_id), "name": resource.name} for _, resource in rows]
