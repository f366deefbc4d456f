"""Information systems over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from catalog_svc.etag import EntryPassed, IfMatch, show
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.sector.domain import SectorCode
from catalog_svc.sector.errors import CapReached, SectorUnknown
from catalog_svc.system import commands, store
from catalog_svc.system.errors import (
    NothingCatalogued,
    OffCloud,
    StillCatalogued,
    SystemInvalid,
    SystemNameTaken,
    SystemNotFound,
    SystemTransition,
)
from dxmesh_runtime.auth import Principal, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import SystemKind, SystemState
from dxmesh_schemas.problem import Forbidden, Invalid
from dxmesh_schemas.text import Name, Reason, Search

router = APIRouter(prefix="/v1/systems", tags=["systems"], dependencies=[Depends(json_body)])
_READS_ALL = ("authority", "operator", "auditor")
_EXTRAS = ("kind", "on_gov_cloud", "is_main_system", "sector")


def _no_secrets(is_classified: bool) -> bool:
    if is_classified:
        raise ValueError("state and work secrets do not belong in the catalogue (GDSR Art. 3); do not enter this system")
    return is_classified


class SystemChange(BaseModel):
    """What of a system may change; all but the name stay as they are when left out."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    kind: Annotated[SystemKind, Field(description="who runs it: the organization, or the nation, province or city above it")] = (
        SystemKind.OWN
    )
    on_gov_cloud: Annotated[bool | None, Field(description="null: nobody said")] = None
    is_main_system: Annotated[bool, Field(description="the main system of its sector (the data authority decides)")] = False
    sector: Annotated[SectorCode | None, Field(description="a code of GET /v1/sectors")] = None
    is_classified: Annotated[bool, AfterValidator(_no_secrets), Field(description="涉密: must be false")] = False

    def extras(self) -> dict[str, Any]:
        """Return those of the fields that may be left out which were sent, null included."""
        return {name: getattr(self, name) for name in _EXTRAS if name in self.model_fields_set}


class SystemIn(SystemChange):
    """A system to register; the data authority names the organization, a steward's is its own."""

    organization_id: UUID | None = None


class SystemOut(BaseModel):
    """An information system."""

    model_config = ConfigDict(from_attributes=True)
    system_id: UUID
    organization_id: UUID
    name: str
    kind: SystemKind
    state: SystemState
    on_gov_cloud: bool | None
    is_main_system: bool
    sector: str | None
    registered_at: datetime
    changed_at: datetime


class ServiceIn(BaseModel):
    """What is said of a system that goes in service."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason | None = None


class RetirementIn(BaseModel):
    """Why a system retires."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class StepOut(BaseModel):
    """A state a system came into."""

    model_config = ConfigDict(from_attributes=True)
    number: int
    state: SystemState
    by: str
    reason: str | None
    at: datetime


class SystemSteps(BaseModel):
    """A system's steps, oldest first."""

    items: list[StepOut]


def _editor(who: Principal) -> UUID | None:
    """Return the organization whose systems the caller may change, None for all. Raises Forbidden (403)."""
    if who.has("authority"):
        return None
    if who.has("steward"):
        return who.own_organization
    raise Forbidden("systems are entered by a steward of the organization or the data authority")


def _tagged(response: Response, row: store.System) -> store.System:
    show(response, row.changed_at)
    return row


def _reader(who: Principal) -> UUID | None:
    """Return the organization whose systems the caller may read, None for all."""
    return None if any(who.has(role) for role in _READS_ALL) else who.own_organization


def _owner(body: SystemIn, who: Principal) -> UUID:
    own = _editor(who)
    if body.organization_id is None and who.organization_id is None:
        raise Invalid.of([("/organization_id", "name the organization the system belongs to; this token has none")])
    organization_id = body.organization_id or who.own_organization
    if own is not None and organization_id != own:
        raise OrganizationNotFound(f"no organization you act for has the id {organization_id}")
    return organization_id


@router.post(
    "",
    status_code=201,
    response_model=SystemOut,
    responses=problems(*BODY_PROBLEMS, OrganizationNotFound, SystemNameTaken, SystemInvalid, SectorUnknown, CapReached, Forbidden),
)
async def register(body: SystemIn, who: Who, tx: Tx, response: Response) -> store.System:
    """Register an information system of the caller's organization, as planned; a main one by the data authority."""
    return _tagged(response, await commands.register(tx, _owner(body, who), name=body.name, by=who, now=utc_now(), **body.extras()))


@router.get("", response_model=Page[SystemOut], responses=problems(CursorInvalid))
async def list_systems(
    who: Who,
    tx: Tx,
    q: Annotated[Search | None, Query()] = None,
    organization: Annotated[UUID | None, Query()] = None,
    state: Annotated[SystemState | None, Query()] = None,
    kind: Annotated[SystemKind | None, Query()] = None,
    on_gov_cloud: Annotated[bool | None, Query()] = None,
    is_main_system: Annotated[bool | None, Query()] = None,
    sector: Annotated[SectorCode | None, Query()] = None,
    catalogued: Annotated[bool | None, Query(description="false: systems of which no resource is in force")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Slice[store.System]:
    """List the systems of the caller's organization; the authority, operators and auditors see those of all."""
    reads_all = any(who.has(role) for role in _READS_ALL)
    of = organization if reads_all else who.own_organization
    if organization not in (None, of):
        return Slice([], None)
    which = store.Filter(
        of=of,
        q=q,
        state=state,
        kind=kind,
        on_gov_cloud=on_gov_cloud,
        is_main_system=is_main_system,
        sector=sector,
        is_catalogued=catalogued,
    )
    return cut(await store.list_page(tx, which, after=after_id(cursor), limit=limit), limit, lambda row: row.system_id)


@router.get("/{system_id}", response_model=SystemOut, responses=problems(SystemNotFound))
async def get_system(system_id: UUID, who: Who, tx: Tx, response: Response) -> store.System:
    """Return a system of the caller's organization; the authority, operators and auditors may read all.

    Its ETag goes into If-Match of the next change.
    """
    return _tagged(response, await store.get(tx, system_id, of=_reader(who)))


@router.put(
    "/{system_id}",
    response_model=SystemOut,
    responses=problems(
        *BODY_PROBLEMS,
        SystemNotFound,
        EntryPassed,
        SystemTransition,
        OffCloud,
        SystemNameTaken,
        SystemInvalid,
        SectorUnknown,
        CapReached,
        Forbidden,
    ),
)
async def change(system_id: UUID, body: SystemChange, who: Who, if_match: IfMatch, tx: Tx, response: Response) -> store.System:
    """Change a system's name and what is said of it; with If-Match only as it was read."""
    row = await commands.change(tx, system_id, of=_editor(who), name=body.name, by=who, now=utc_now(), if_match=if_match, **body.extras())
    return _tagged(response, row)


@router.post(
    "/{system_id}/service",
    response_model=SystemOut,
    responses=problems(*BODY_PROBLEMS, SystemNotFound, SystemTransition, NothingCatalogued, OffCloud, Forbidden),
)
async def enter_service(system_id: UUID, who: Who, tx: Tx, body: ServiceIn | None = None) -> store.System:
    """Put a planned system in service; refused while nothing of it is catalogued, or while it is off the government cloud.

    An organization's own system serves off the cloud only when the data authority puts it in service, with the reason.
    """
    reason = body.reason if body is not None else None
    return await commands.enter_service(tx, system_id, of=_editor(who), reason=reason, by=who, now=utc_now())


@router.post(
    "/{system_id}/retirement",
    response_model=SystemOut,
    responses=problems(*BODY_PROBLEMS, SystemNotFound, SystemTransition, StillCatalogued, Forbidden),
)
async def retire(system_id: UUID, body: RetirementIn, who: Who, tx: Tx) -> store.System:
    """Take a system out of service for good; refused while resources of it are in force."""
    return await commands.retire(tx, system_id, of=_editor(who), reason=body.reason, by=who, now=utc_now())


@router.get("/{system_id}/steps", response_model=SystemSteps, responses=problems(SystemNotFound))
async def list_steps(system_id: UUID, who: Who, tx: Tx) -> dict[str, Any]:
    """List the states a system came into, oldest first."""
    await store.get(tx, system_id, of=_reader(who))
    return {"items": await store.list_steps(tx, system_id)}
