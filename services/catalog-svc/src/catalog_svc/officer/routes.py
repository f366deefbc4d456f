"""Offices of organizations over HTTP."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.officer import commands, store
from catalog_svc.officer.domain import Term
from catalog_svc.officer.errors import CdoPresent, OfficeEnded, OfficeHeld, OfficerInvalid, OfficerNotFound
from catalog_svc.organization import store as organizations
from catalog_svc.organization.domain import Day, day_of
from catalog_svc.organization.errors import OrganizationNotFound
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import Level, OfficerRole, OrganizationKind
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Reason, check_code

router = APIRouter(prefix="/v1", tags=["officers"], dependencies=[Depends(json_body)])


def _account(text: str) -> str:
    if any(character.isspace() for character in text):
        raise ValueError("holds a blank; name a client id or account, as tokens carry it in `sub`")
    return check_code(text)


Holder = Annotated[str, StringConstraints(max_length=200), AfterValidator(_account), Field(json_schema_extra={"minLength": 1})]
_Vacant = Annotated[list[OfficerRole] | None, Query(max_length=3, description="cdo and steward when left out")]


class OfficerIn(BaseModel):
    """An office to fill."""

    model_config = ConfigDict(extra="forbid")
    role: OfficerRole
    holder: Annotated[Holder, Field(description="the client id or account name, as tokens carry it in `sub`")]
    since: Annotated[Day | None, Field(description="the first day; today when left out")] = None
    until: Annotated[Day | None, Field(description="the first day on which it is no longer held; open when left out")] = None


class EndIn(BaseModel):
    """Why and when a term ends."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason
    until: Annotated[Day | None, Field(description="the first day on which it is no longer held; today when left out")] = None


class OfficerOut(BaseModel):
    """A term of office."""

    model_config = ConfigDict(from_attributes=True)
    officer_id: UUID
    organization_id: UUID
    role: OfficerRole
    holder: str
    since: date
    until: date | None
    appointed_by: str
    appointed_at: datetime
    ended_by: str | None
    ended_at: datetime | None
    reason: str | None


class Vacancy(BaseModel):
    """An organization and the offices nobody holds today."""

    organization_id: UUID
    name: str
    level: Level
    division_code: str
    kind: OrganizationKind
    lacks: list[OfficerRole]


@router.post(
    "/organizations/{organization_id}/officers",
    status_code=201,
    response_model=OfficerOut,
    responses=problems(*BODY_PROBLEMS, OrganizationNotFound, OfficerInvalid, CdoPresent, OfficeHeld, Forbidden),
)
async def appoint(organization_id: UUID, body: OfficerIn, who: Who, tx: Tx) -> store.Officer:
    """Fill an office: the data authority; stewards and sharing units also the organization's chief data officer."""
    now = utc_now()
    term = Term(body.since or day_of(now), body.until)
    return await commands.appoint(tx, organization_id, role=body.role, holder=body.holder, term=term, by=who, now=now)


@router.get(
    "/organizations/{organization_id}/officers", response_model=Page[OfficerOut], responses=problems(OrganizationNotFound, CursorInvalid)
)
async def list_of(
    organization_id: UUID,
    _: Who,
    tx: Tx,
    role: Annotated[OfficerRole | None, Query()] = None,
    which: Annotated[Literal["all", "current"], Query(description="`all` are those there ever were")] = "all",
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Slice[store.Officer]:
    """List an organization's terms of office, ended ones too."""
    await organizations.get(tx, organization_id)
    on = day_of(utc_now()) if which == "current" else None
    rows = await store.list_page(tx, organization_id=organization_id, role=role, holder=None, on=on, after=after_id(cursor), limit=limit)
    return cut(rows, limit, lambda row: row.officer_id)


@router.post(
    "/organizations/{organization_id}/officers/{officer_id}/end",
    response_model=OfficerOut,
    responses=problems(*BODY_PROBLEMS, OrganizationNotFound, OfficerNotFound, OfficeEnded, OfficerInvalid, Forbidden),
)
async def end(organization_id: UUID, officer_id: UUID, body: EndIn, who: Who, tx: Tx) -> store.Officer:
    """End a term of office, with the reason; it stays readable."""
    now = utc_now()
    return await commands.end(tx, organization_id, officer_id, until=body.until or day_of(now), reason=body.reason, by=who, now=now)


@router.get("/officers", response_model=Page[OfficerOut], responses=problems(CursorInvalid))
async def list_officers(
    _: Who,
    tx: Tx,
    role: Annotated[OfficerRole | None, Query()] = None,
    holder: Annotated[Holder | None, Query()] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Slice[store.Officer]:
    """List who holds an office of any organization today."""
    on = day_of(utc_now())
    rows = await store.list_page(tx, organization_id=None, role=role, holder=holder, on=on, after=after_id(cursor), limit=limit)
    return cut(rows, limit, lambda row: row.officer_id)


@router.get("/officers/vacancies", responses=problems(CursorInvalid))
async def list_vacancies(
    _: Who,
    tx: Tx,
    role: _Vacant = None,
    level: Annotated[Level | None, Query()] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[Vacancy]:
    """List the organizations that lack a chief data officer or a steward today."""
    roles = list(dict.fromkeys(role or [OfficerRole.CDO, OfficerRole.STEWARD]))
    rows = await store.vacancies(tx, roles, level=level, today=day_of(utc_now()), after=after_id(cursor), limit=limit)
    page = cut(rows, limit, lambda row: row[0].organization_id)
    items = [
        Vacancy(
            organization_id=organization.organization_id,
            name=organization.name,
            level=Level(organization.level),
            division_code=organization.division_code,
            kind=OrganizationKind(organization.kind),
            lacks=lacks,
        )
        for organization, lacks in page.items
    ]
    return Page(items=items, next_cursor=page.next_cursor)
