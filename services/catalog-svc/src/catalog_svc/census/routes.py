"""Censuses over HTTP."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from catalog_svc.census import commands, domain, store
from catalog_svc.census.errors import CensusNotFound
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.sharing_list.domain import ListKind
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name

router = APIRouter(prefix="/v1/censuses", tags=["censuses"], dependencies=[Depends(json_body)])


class CensusIn(BaseModel):
    """A census to take."""

    model_config = ConfigDict(extra="forbid")
    title: Name


class FrozenList(BaseModel):
    """A list as it was: how many entries, and the SHA-256 over them."""

    entry_count: int
    sha256: str


class DepartmentCounts(BaseModel):
    """What an organization had registered."""

    organization_id: UUID
    name: str
    system_count: int
    resource_count: int
    item_count: int
    shareable_item_count: int


class CensusOut(BaseModel):
    """A census, never changed."""

    model_config = ConfigDict(from_attributes=True)
    census_id: UUID
    title: str
    taken_on: date
    lists: dict[ListKind, FrozenList]
    departments: list[DepartmentCounts]
    taken_at: datetime
    taken_by: str


class ListDifference(BaseModel):
    """What changed of a list; `is_same` says whether every entry is as it was."""

    kind: ListKind
    before_count: int
    after_count: int
    difference: int
    is_same: bool


class Comparison(BaseModel):
    """What changed from one census to another; of departments, those that differ, by how much."""

    before: UUID
    after: UUID
    lists: list[ListDifference]
    departments: list[DepartmentCounts]


@router.post("", status_code=201, response_model=CensusOut, responses=problems(*BODY_PROBLEMS, Forbidden))
async def take(body: CensusIn, who: Authority, tx: Tx) -> store.Census:
    """Take a census of the lists as they are now (the data authority)."""
    return await commands.take(tx, title=body.title, by=who, now=utc_now())


@router.get("", response_model=Page[CensusOut], responses=problems(CursorInvalid))
async def list_censuses(_: Who, tx: Tx, limit: Limit = 50, cursor: CursorText = None) -> Slice[store.Census]:
    """List censuses, oldest first."""
    return cut(await store.list_page(tx, after=after_id(cursor), limit=limit), limit, lambda row: row.census_id)


@router.get("/{census_id}", response_model=CensusOut, responses=problems(CensusNotFound))
async def get_census(census_id: UUID, _: Who, tx: Tx) -> store.Census:
    """Return a census."""
    return await store.get(tx, census_id)


@router.get("/{census_id}/comparison", response_model=Comparison, responses=problems(CensusNotFound))
async def compare(
    census_id: UUID, _: Who, tx: Tx, with_: Annotated[UUID, Query(alias="with", description="the later census")]
) -> dict[str, Any]:
    """Compare a census with a later one."""
    before, after = await store.get(tx, census_id), await store.get(tx, with_)
    found = domain.differences(_frozen(before), _frozen(after))
    return {"before": before.census_id, "after": after.census_id, **found}


def _frozen(row: store.Census) -> dict[str, Any]:
    return {"lists": row.lists, "departments": row.departments}
