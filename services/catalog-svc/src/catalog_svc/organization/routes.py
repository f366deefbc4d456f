"""Organizations over HTTP."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from catalog_svc.etag import EntryPassed, IfMatch, show
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.officer import store as officers
from catalog_svc.organization import commands, domain, store
from catalog_svc.organization.domain import Day
from catalog_svc.organization.errors import OrganizationInvalid, OrganizationNotFound, UsccTaken
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import Contract, Level, Licence, OfficerRole, OrganizationKind
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Search, check_code

router = APIRouter(prefix="/v1/organizations", tags=["organizations"], dependencies=[Depends(json_body)])


Number = Annotated[str, StringConstraints(max_length=100), AfterValidator(check_code), Field(json_schema_extra={"minLength": 1})]
_EXTRAS = ("parent_id", "licence", "contract")


class LicenceIn(BaseModel):
    """A licence as it is sent."""

    model_config = ConfigDict(extra="forbid")
    title: Name
    number: Number
    valid_until: Annotated[Day | None, Field(description="the last day it is good; without end when left out")] = None


class ContractIn(LicenceIn):
    """A contract as it is sent."""

    shared_use: Annotated[bool, Field(description="统采共用: bought once, for the use of all departments")] = False


class OrganizationChange(BaseModel):
    """What of an organization may change; its parent, licence and contract stay as they are when left out."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    level: Level
    division_code: Annotated[
        str, AfterValidator(domain.check_division_code), Field(json_schema_extra={"pattern": f"^{domain.DIVISION.pattern}$"})
    ]
    kind: OrganizationKind = OrganizationKind.DEPARTMENT
    parent_id: UUID | None = None
    licence: LicenceIn | None = None
    contract: ContractIn | None = None

    def extras(self) -> dict[str, Any]:
        """Return those of the fields that may be left out which were sent, null included."""
        sent = {name: getattr(self, name) for name in _EXTRAS if name in self.model_fields_set}
        for name, kind in (("licence", Licence), ("contract", Contract)):
            if sent.get(name) is not None:
                sent[name] = kind.model_validate(sent[name].model_dump())
        return sent


class OrganizationIn(OrganizationChange):
    """An organization to register."""

    uscc: Annotated[str, AfterValidator(domain.check_uscc), Field(json_schema_extra={"pattern": f"^{domain.USCC.pattern}$"})]


class OfficeOut(BaseModel):
    """Who holds an office of the organization today."""

    model_config = ConfigDict(from_attributes=True)
    officer_id: UUID
    role: OfficerRole
    holder: str
    since: date
    until: date | None


class OrganizationOut(BaseModel):
    """An organization."""

    organization_id: UUID
    uscc: str
    name: str
    level: Level
    division_code: str
    kind: OrganizationKind
    parent_id: UUID | None
    licence: Licence | None
    contract: Contract | None
    officers: list[OfficeOut]
    registered_at: datetime
    changed_at: datetime


def _out(row: store.Organization, held: Sequence[officers.Officer]) -> OrganizationOut:
    own = {name: getattr(row, name) for name in OrganizationOut.model_fields if name != "officers"}
    return OrganizationOut(**own, officers=[OfficeOut.model_validate(term) for term in held])


async def _one(tx: Tx, row: store.Organization, response: Response) -> OrganizationOut:
    show(response, row.changed_at)
    held = await officers.current_of(tx, [row.organization_id], today=domain.day_of(utc_now()))
    return _out(row, held.get(row.organization_id, []))


@router.post("", status_code=201, responses=problems(*BODY_PROBLEMS, OrganizationInvalid, UsccTaken, Forbidden))
async def register(body: OrganizationIn, _: Authority, tx: Tx, response: Response) -> OrganizationOut:
    """Register an organization (the data authority)."""
    row = await commands.register(
        tx,
        uscc=body.uscc,
        name=body.name,
        level=body.level,
        division_code=body.division_code,
        kind=body.kind,
        now=utc_now(),
        **body.extras(),
    )
    return await _one(tx, row, response)


@router.get("", responses=problems(CursorInvalid))
async def list_organizations(
    _: Who,
    tx: Tx,
    q: Annotated[Search | None, Query()] = None,
    parent: Annotated[UUID | None, Query(description="those directly under this organization")] = None,
    kind: Annotated[OrganizationKind | None, Query()] = None,
    lacks: Annotated[
        domain.Paper | None, Query(description="public utilities without a licence, social bodies without a contract, good today")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[OrganizationOut]:
    """List organizations in the order of registration; `q` finds by name, uscc or division code."""
    today = domain.day_of(utc_now())
    rows = await store.list_page(tx, q=q, parent=parent, kind=kind, lacks=lacks, today=today, after=after_id(cursor), limit=limit)
    page = cut(rows, limit, lambda row: row.organization_id)
    held = await officers.current_of(tx, [row.organization_id for row in page.items], today=today)
    return Page(items=[_out(row, held.get(row.organization_id, [])) for row in page.items], next_cursor=page.next_cursor)


@router.get("/{organization_id}", responses=problems(OrganizationNotFound))
async def get_organization(organization_id: UUID, _: Who, tx: Tx, response: Response) -> OrganizationOut:
    """Return an organization with those who hold its offices; its ETag goes into If-Match of the next change."""
    return await _one(tx, await store.get(tx, organization_id), response)


@router.put("/{organization_id}", responses=problems(*BODY_PROBLEMS, OrganizationNotFound, OrganizationInvalid, EntryPassed, Forbidden))
async def change(
    organization_id: UUID, body: OrganizationChange, _: Authority, if_match: IfMatch, tx: Tx, response: Response
) -> OrganizationOut:
    """Change an organization's entry (the data authority); with If-Match only as it was read."""
    row = await commands.change(
        tx,
        organization_id,
        name=body.name,
        level=body.level,
        division_code=body.division_code,
        kind=body.kind,
        now=utc_now(),
        if_match=if_match,
        **body.extras(),
    )
    return await _one(tx, row, response)
