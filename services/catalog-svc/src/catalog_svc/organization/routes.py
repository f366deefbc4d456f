"""Organizations over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization import commands, domain, store
from catalog_svc.organization.errors import OrganizationNotFound, UsccTaken
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import Level, OrganizationKind
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Search

router = APIRouter(prefix="/v1/organizations", tags=["organizations"], dependencies=[Depends(json_body)])


class OrganizationChange(BaseModel):
    """What of an organization may change."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    level: Level
    division_code: Annotated[
        str, AfterValidator(domain.check_division_code), Field(json_schema_extra={"pattern": f"^{domain.DIVISION.pattern}$"})
    ]
    kind: OrganizationKind = OrganizationKind.DEPARTMENT


class OrganizationIn(OrganizationChange):
    """An organization to register."""

    uscc: Annotated[str, AfterValidator(domain.check_uscc), Field(json_schema_extra={"pattern": f"^{domain.USCC.pattern}$"})]


class OrganizationOut(BaseModel):
    """An organization."""

    model_config = ConfigDict(from_attributes=True)
    organization_id: UUID
    uscc: str
    name: str
    level: Level
    division_code: str
    kind: OrganizationKind
    registered_at: datetime
    changed_at: datetime


@router.post("", status_code=201, response_model=OrganizationOut, responses=problems(*BODY_PROBLEMS, UsccTaken, Forbidden))
async def register(body: OrganizationIn, _: Authority, tx: Tx) -> store.Organization:
    """Register an organization (the data authority)."""
    return await commands.register(
        tx, uscc=body.uscc, name=body.name, level=body.level, division_code=body.division_code, kind=body.kind, now=utc_now()
    )


@router.get("", response_model=Page[OrganizationOut], responses=problems(CursorInvalid))
async def list_organizations(
    _: Who, tx: Tx, q: Annotated[Search | None, Query()] = None, limit: Limit = 50, cursor: CursorText = None
) -> Slice[store.Organization]:
    """List organizations in the order of registration; `q` finds by name, uscc or division code."""
    rows = await store.list_page(tx, q=q, after=after_id(cursor), limit=limit)
    return cut(rows, limit, lambda row: row.organization_id)


@router.get("/{organization_id}", response_model=OrganizationOut, responses=problems(OrganizationNotFound))
async def get_organization(organization_id: UUID, _: Who, tx: Tx) -> store.Organization:
    """Return an organization."""
    return await store.get(tx, organization_id)


@router.put("/{organization_id}", response_model=OrganizationOut, responses=problems(*BODY_PROBLEMS, OrganizationNotFound, Forbidden))
async def change(organization_id: UUID, body: OrganizationChange, _: Authority, tx: Tx) -> store.Organization:
    """Change an organization's entry (the data authority)."""
    return await commands.change(
        tx, organization_id, name=body.name, level=body.level, division_code=body.division_code, kind=body.kind, now=utc_now()
    )
