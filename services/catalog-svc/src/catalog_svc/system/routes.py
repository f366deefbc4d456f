"""Information systems over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.system import commands, store
from catalog_svc.system.errors import SystemNameTaken, SystemNotFound
from dxmesh_runtime.auth import Principal, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden, Invalid
from dxmesh_schemas.text import Name, Search

router = APIRouter(prefix="/v1/systems", tags=["systems"], dependencies=[Depends(json_body)])
_READS_ALL = ("authority", "operator", "auditor")


class SystemChange(BaseModel):
    """What of a system may change."""

    model_config = ConfigDict(extra="forbid")
    name: Name


class SystemIn(SystemChange):
    """A system to register; the data authority names the organization, a steward's is its own."""

    organization_id: UUID | None = None


class SystemOut(BaseModel):
    """An information system."""

    model_config = ConfigDict(from_attributes=True)
    system_id: UUID
    organization_id: UUID
    name: str
    registered_at: datetime
    changed_at: datetime


def _editor(who: Principal) -> UUID | None:
    """Return the organization whose systems the caller may change, None for all. Raises Forbidden (403)."""
    if who.has("authority"):
        return None
    if who.has("steward"):
        return who.own_organization
    raise Forbidden("systems are entered by a steward of the organization or the data authority")


def _owner(body: SystemIn, who: Principal) -> UUID:
    own = _editor(who)
    if body.organization_id is None and who.organization_id is None:
        detail = "name the organization the system belongs to; this token has none"
        raise Invalid(f"/organization_id: {detail}", errors=[{"pointer": "/organization_id", "detail": detail}])
    organization_id = body.organization_id or who.own_organization
    if own is not None and organization_id != own:
        raise OrganizationNotFound(f"no organization you act for has the id {organization_id}")
    return organization_id


@router.post(
    "", status_code=201, response_model=SystemOut, responses=problems(*BODY_PROBLEMS, OrganizationNotFound, SystemNameTaken, Forbidden)
)
async def register(body: SystemIn, who: Who, tx: Tx) -> store.System:
    """Register an information system of the caller's organization."""
    return await commands.register(tx, _owner(body, who), name=body.name, now=utc_now())


@router.get("", response_model=Page[SystemOut], responses=problems(CursorInvalid))
async def list_systems(
    who: Who,
    tx: Tx,
    q: Annotated[Search | None, Query()] = None,
    organization: Annotated[UUID | None, Query()] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Slice[store.System]:
    """List the systems of the caller's organization; the authority, operators and auditors see those of all."""
    reads_all = any(who.has(role) for role in _READS_ALL)
    of = organization if reads_all else who.own_organization
    if organization not in (None, of):
        return Slice([], None)
    return cut(await store.list_page(tx, of=of, q=q, after=after_id(cursor), limit=limit), limit, lambda row: row.system_id)


@router.get("/{system_id}", response_model=SystemOut, responses=problems(SystemNotFound))
async def get_system(system_id: UUID, who: Who, tx: Tx) -> store.System:
    """Return a system of the caller's organization; the authority, operators and auditors may read all."""
    return await store.get(tx, system_id, of=None if any(who.has(role) for role in _READS_ALL) else who.own_organization)


@router.put("/{system_id}", response_model=SystemOut, responses=problems(*BODY_PROBLEMS, SystemNotFound, SystemNameTaken, Forbidden))
async def rename(system_id: UUID, body: SystemChange, who: Who, tx: Tx) -> store.System:
    """Rename a system."""
    return await commands.rename(tx, system_id, of=_editor(who), name=body.name, now=utc_now())
