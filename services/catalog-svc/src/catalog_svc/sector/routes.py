"""Sectors, their caps, and master data over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.etag import EntryPassed, IfMatch, show
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.resource import commands as resources
from catalog_svc.resource.errors import ResourceNotFound
from catalog_svc.sector import commands, store
from catalog_svc.sector.domain import SectorCode
from catalog_svc.sector.errors import CapReached, CapTooLow, NotInForce, NotMasterData, SectorNameTaken, SectorNotFound, SectorUnknown
from catalog_svc.system import store as systems
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_text, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Reason

router = APIRouter(prefix="/v1", tags=["sectors"], dependencies=[Depends(json_body)])
Cap = Annotated[int, Field(ge=0, le=10_000, strict=True)]
Code = Annotated[SectorCode, Path()]


class SectorIn(BaseModel):
    """A sector and its caps."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    main_system_cap: Annotated[Cap, Field(description="how many main systems it may have")]
    master_data_cap: Annotated[Cap, Field(description="how many resources of master data it may have")]


class MainSystem(BaseModel):
    """A main system of a sector."""

    system_id: UUID
    name: str


class MasterResource(BaseModel):
    """A resource of a sector's master data."""

    resource_id: UUID
    name: str


class SectorOut(BaseModel):
    """A sector, its caps, and who has the places."""

    sector: str
    name: str
    main_system_cap: int
    master_data_cap: int
    main_systems: list[MainSystem]
    master_data: list[MasterResource]
    changed_at: datetime


class MasterDataIn(BaseModel):
    """Whose master data a resource becomes, and why."""

    model_config = ConfigDict(extra="forbid")
    sector: SectorCode
    reason: Reason | None = None


class MasterDataOut(BaseModel):
    """What is kept of a resource as master data."""

    model_config = ConfigDict(from_attributes=True)
    resource_id: UUID
    sector: str
    reason: str | None
    marked_by: str
    marked_at: datetime


async def _shown(tx: Tx, rows: Sequence[store.Sector]) -> list[SectorOut]:
    codes = [row.sector for row in rows]
    found: dict[str, dict[str, Any]] = {code: {"main_systems": [], "master_data": []} for code in codes}
    for system in await systems.main_of(tx, codes):
        found[system.sector or ""]["main_systems"].append(MainSystem(system_id=system.system_id, name=system.name))
    for mark, resource in await store.master_data_of(tx, codes):
        found[mark.sector]["master_data"].append(MasterResource(resource_id=resource.resource_id, name=resource.name))
    return [
        SectorOut(
            sector=row.sector,
            name=row.name,
            main_system_cap=row.main_system_cap,
            master_data_cap=row.master_data_cap,
            changed_at=row.changed_at,
            **found[row.sector],
        )
        for row in rows
    ]


@router.put(
    "/sectors/{sector}",
    responses={**problems(*BODY_PROBLEMS, EntryPassed, SectorNameTaken, CapTooLow, Forbidden), 201: {"model": SectorOut}},
)
async def put(sector: Code, body: SectorIn, _: Authority, if_match: IfMatch, tx: Tx, response: Response) -> SectorOut:
    """Register a sector or change its name and caps (the data authority); with If-Match only as it was read."""
    row, is_new = await commands.put(
        tx,
        sector,
        name=body.name,
        main_system_cap=body.main_system_cap,
        master_data_cap=body.master_data_cap,
        now=utc_now(),
        if_match=if_match,
    )
    response.status_code = 201 if is_new else 200
    show(response, row.changed_at)
    return (await _shown(tx, [row]))[0]


@router.get("/sectors", responses=problems(CursorInvalid))
async def list_sectors(_: Who, tx: Tx, limit: Limit = 50, cursor: CursorText = None) -> Page[SectorOut]:
    """List sectors by code, with their main systems and master data."""
    page = cut(await store.list_page(tx, after=after_text(cursor), limit=limit), limit, lambda row: row.sector)
    return Page(items=await _shown(tx, page.items), next_cursor=page.next_cursor)


@router.get("/sectors/{sector}", responses=problems(SectorNotFound))
async def get_sector(sector: Code, _: Who, tx: Tx, response: Response) -> SectorOut:
    """Return a sector with its main systems and master data; its ETag is that of its name and caps, and goes into If-Match."""
    row = await store.get(tx, sector)
    show(response, row.changed_at)
    return (await _shown(tx, [row]))[0]


@router.put(
    "/resources/{resource_id}/master-data",
    response_model=MasterDataOut,
    responses=problems(*BODY_PROBLEMS, ResourceNotFound, NotInForce, SectorUnknown, CapReached, Forbidden),
)
async def mark(resource_id: UUID, body: MasterDataIn, who: Authority, tx: Tx) -> store.MasterData:
    """Make a resource in force master data of a sector (the data authority)."""
    return await commands.mark(tx, resource_id, sector=body.sector, reason=body.reason, by=who, now=utc_now())


@router.get("/resources/{resource_id}/master-data", response_model=MasterDataOut, responses=problems(ResourceNotFound, NotMasterData))
async def get_master_data(resource_id: UUID, who: Who, tx: Tx) -> store.MasterData:
    """Return whose master data a resource is."""
    await resources.get_visible(tx, resource_id, by=who)
    return await store.get_master_data(tx, resource_id)


@router.delete("/resources/{resource_id}/master-data", status_code=204, responses=problems(NotMasterData, Forbidden))
async def unmark(resource_id: UUID, _: Authority, tx: Tx) -> None:
    """Take a resource out of the master data (the data authority)."""
    await commands.unmark(tx, resource_id)
