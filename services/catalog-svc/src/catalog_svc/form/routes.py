"""Forms, and what is collected more than once, over HTTP."""

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.form import commands, store
from catalog_svc.form.domain import Outcome
from catalog_svc.form.errors import FormNameTaken, FormNotFound
from catalog_svc.matching.domain import Verdict
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization.errors import OrganizationNotFound
from dxmesh_runtime.auth import Principal, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut, decode, encode
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import DataType, DivisionCode, ItemFormat, SharingType
from dxmesh_schemas.problem import Forbidden, Invalid
from dxmesh_schemas.text import Name

router = APIRouter(prefix="/v1", tags=["sources"], dependencies=[Depends(json_body)])
MAX_ITEMS = 1000
_MOST_COLLECTORS = 20


class FormItem(BaseModel):
    """An item of a form, as it is printed; the more is said of its values, the surer it is compared."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    data_type: DataType | None = None
    length: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    format: ItemFormat | None = None
    code_set: Name | None = None


class FormIn(BaseModel):
    """A form that is to be handed out; the data authority names whose it is, a steward's is its own organization's."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    items: Annotated[list[FormItem], Field(min_length=1, max_length=MAX_ITEMS)]
    organization_id: UUID | None = None


class Listed(BaseModel):
    """An item of the catalogue, and whose it is."""

    model_config = ConfigDict(from_attributes=True)
    organization_id: UUID
    organization_name: str
    resource_id: UUID
    resource_code: str
    resource_name: str
    item: str
    item_name: str
    sharing_type: SharingType
    is_source: bool


class FoundMatch(Listed):
    """An item that is, or may be, what the form asks for, and how to get it."""

    similarity: float
    verdict: Verdict
    reasons: list[str]
    how_to_ask: dict[str, Any] | None


class Finding(BaseModel):
    """What the catalogue has of one item of a form."""

    name: str
    outcome: Outcome
    matches: list[FoundMatch]


class FormHead(BaseModel):
    """A form without its items."""

    model_config = ConfigDict(from_attributes=True)
    form_id: UUID
    organization_id: UUID
    name: str
    held_count: int
    withheld_count: int
    doubtful_count: int
    new_count: int
    entered_by: str
    entered_at: datetime
    matched_at: datetime


class FormOut(FormHead):
    """A form with what the catalogue has of each item."""

    findings: list[Finding]


class Repeat(BaseModel):
    """A data element that several organizations of a division collect; up to 20 of its items, the source first."""

    division_code: str
    name: str
    kind: str
    organization_count: int
    item_count: int
    has_source: bool
    items: list[Listed]


def _reads(who: Principal) -> UUID | None:
    """Return the organization whose forms the caller sees, None for all. Raises Forbidden (403)."""
    return None if any(who.has(role) for role in ("authority", "auditor", "operator")) else who.own_organization


def _owner(body: FormIn, who: Principal) -> UUID:
    if not (who.has("authority") or who.has("steward")):
        raise Forbidden("forms are entered by a steward of the organization or the data authority")
    organization_id = body.organization_id or who.organization_id
    if organization_id is None:
        raise Invalid.of([("/organization_id", "name the organization the form belongs to; this token has none")])
    if not who.has("authority") and organization_id != who.own_organization:
        raise OrganizationNotFound(f"no organization you act for has the id {organization_id}")
    return organization_id


@router.post(
    "/forms", status_code=201, response_model=FormOut, responses=problems(*BODY_PROBLEMS, OrganizationNotFound, FormNameTaken, Forbidden)
)
async def enter(body: FormIn, who: Who, tx: Tx, response: Response) -> store.Form:
    """Enter a form and learn which of its items need not be collected again, which are doubtful, which are new."""
    items = [item.model_dump(mode="json", exclude_none=True) for item in body.items]
    row = await commands.enter(tx, _owner(body, who), name=body.name, items=items, by=who.subject, now=utc_now())
    response.headers["Location"] = f"/v1/forms/{row.form_id}"
    return row


@router.get("/forms", response_model=Page[FormHead], responses=problems(CursorInvalid, Forbidden))
async def list_forms(who: Who, tx: Tx, limit: Limit = 50, cursor: CursorText = None) -> Slice[store.Form]:
    """List the forms of the caller's organization; the authority, operators and auditors see all."""
    return cut(await store.list_page(tx, of=_reads(who), after=after_id(cursor), limit=limit), limit, lambda row: row.form_id)


@router.get("/forms/{form_id}", response_model=FormOut, responses=problems(FormNotFound, Forbidden))
async def get_form(form_id: UUID, who: Who, tx: Tx) -> store.Form:
    """Return a form with what was found of it."""
    return await store.get(tx, form_id, of=_reads(who))


@router.post("/forms/{form_id}/comparison", response_model=FormOut, responses=problems(FormNotFound, Forbidden))
async def compare_again(form_id: UUID, who: Who, tx: Tx) -> store.Form:
    """Compare a form with the catalogue as it is now."""
    if not (who.has("authority") or who.has("steward")):
        raise Forbidden("forms are compared by a steward of the organization or the data authority")
    of = None if who.has("authority") else who.own_organization
    return await commands.compare_again(tx, form_id, of=of, now=utc_now())


@router.get("/reports/repeat-collection", responses=problems(CursorInvalid))
async def list_repeats(
    _: Who, tx: Tx, division: Annotated[DivisionCode | None, Query()] = None, limit: Limit = 50, cursor: CursorText = None
) -> Page[Repeat]:
    """List the data elements that several organizations of a division collect (识别重复采集数据)."""
    rows = await store.collected_twice(tx, division=division, after=_after(cursor), limit=limit)
    shown = rows[:limit]
    by_place: dict[tuple[str, str, str], list[Listed]] = defaultdict(list)
    for one in await store.collectors(tx, [(row[0], row[1], row[2]) for row in shown], most=_MOST_COLLECTORS):
        by_place[one.division_code, one.key, one.kind].append(Listed.model_validate(one))
    repeats = []
    for division_code, key, kind, organization_count, item_count in shown:
        found = by_place[division_code, key, kind]
        repeats.append(
            Repeat(
                division_code=division_code,
                name=key,
                kind=kind,
                organization_count=organization_count,
                item_count=item_count,
                has_source=any(one.is_source for one in found),
                items=found,
            )
        )
    next_cursor = encode("\x1f".join(shown[-1][:3]).encode()) if len(rows) > limit else None
    return Page(items=repeats, next_cursor=next_cursor)


def _after(cursor: str | None) -> tuple[str, str, str] | None:
    if cursor is None:
        return None
    try:
        division, key, kind = decode(cursor).decode().split("\x1f")
    except ValueError as wrong:
        raise CursorInvalid from wrong
    if not all(part.isprintable() for part in (division, key, kind)):
        raise CursorInvalid
    return division, key, kind
