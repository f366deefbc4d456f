"""Taxonomies over HTTP: base databases, domain warehouses and theme databases."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.etag import EntryPassed, IfMatch, show
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.taxonomy import commands, store, templates
from catalog_svc.taxonomy.domain import TaxonomyCode, TaxonomyKind
from catalog_svc.taxonomy.errors import (
    TaxonomyCodeTaken,
    TaxonomyInvalid,
    TaxonomyNameTaken,
    TaxonomyNotFound,
    TaxonomyRetired,
    TaxonomyUsed,
    TemplateNotFound,
)
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_text, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Paragraph, Reason, Search

router = APIRouter(prefix="/v1/taxonomies", tags=["taxonomies"], dependencies=[Depends(json_body)])


class TaxonomyChange(BaseModel):
    """What of an entry may change; what is left out is emptied."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    description: Paragraph | None = None
    lead_organization_id: UUID | None = None
    parent_id: UUID | None = None


class TaxonomyIn(TaxonomyChange):
    """An entry to make."""

    code: TaxonomyCode
    kind: TaxonomyKind


class TaxonomyOut(BaseModel):
    """A base database, domain warehouse or theme database."""

    model_config = ConfigDict(from_attributes=True)
    taxonomy_id: UUID
    code: str
    name: str
    kind: TaxonomyKind
    description: str | None
    lead_organization_id: UUID | None
    parent_id: UUID | None
    created_at: datetime
    changed_at: datetime
    retired_at: datetime | None
    retired_by: str | None
    retirement_reason: str | None


class TemplateOut(BaseModel):
    """What a resource of a base database may begin with."""

    taxonomy: str
    standards: Annotated[tuple[templates.Standard, ...], Field(description="what it goes by; facts of them only, no conformity is claimed")]
    code_sets: Annotated[tuple[str, ...], Field(description="shipped code sets its items refer to; put them in force first")]
    entry: Annotated[dict[str, Any], Field(description="goes into POST /v1/resources with its system and steward")]


class RetirementIn(BaseModel):
    """Why an entry is taken out of use."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


@router.post(
    "",
    status_code=201,
    response_model=TaxonomyOut,
    responses=problems(*BODY_PROBLEMS, TaxonomyCodeTaken, TaxonomyNameTaken, TaxonomyInvalid, Forbidden),
)
async def add(body: TaxonomyIn, _: Authority, tx: Tx) -> store.Taxonomy:
    """Enter a base database, domain warehouse or theme database (the data authority)."""
    return await commands.add(
        tx,
        code=body.code,
        name=body.name,
        kind=body.kind,
        description=body.description,
        lead_organization_id=body.lead_organization_id,
        parent_id=body.parent_id,
        now=utc_now(),
    )


@router.get("", response_model=Page[TaxonomyOut], responses=problems(CursorInvalid))
async def list_taxonomies(
    _: Who,
    tx: Tx,
    kind: Annotated[TaxonomyKind | None, Query()] = None,
    q: Annotated[Search | None, Query(description="finds by name or code")] = None,
    parent: Annotated[UUID | None, Query(description="those directly under this entry")] = None,
    lead: Annotated[UUID | None, Query(description="organization id")] = None,
    retired: Annotated[bool, Query(description="show retired entries too")] = False,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Slice[store.Taxonomy]:
    """List the entries by code."""
    rows = await store.list_page(tx, kind=kind, q=q, parent=parent, lead=lead, retired_too=retired, after=after_text(cursor), limit=limit)
    return cut(rows, limit, lambda row: row.code_key)


@router.get("/{taxonomy_id}", response_model=TaxonomyOut, responses=problems(TaxonomyNotFound))
async def get_taxonomy(taxonomy_id: UUID, _: Who, tx: Tx, response: Response) -> store.Taxonomy:
    """Return an entry, a retired one too; its ETag goes into If-Match of the next change."""
    row = await store.get(tx, taxonomy_id)
    show(response, row.changed_at)
    return row


@router.get("/{taxonomy_id}/template", responses=problems(TaxonomyNotFound, TemplateNotFound))
async def get_template(taxonomy_id: UUID, _: Who, tx: Tx) -> TemplateOut:
    """Return what an entry of a resource may begin with, for the base databases that come along."""
    row = await store.get(tx, taxonomy_id)
    found = templates.get(row.code)
    return TemplateOut(taxonomy=row.code, standards=found.standards, code_sets=found.code_sets, entry=found.entry)


@router.put(
    "/{taxonomy_id}",
    response_model=TaxonomyOut,
    responses=problems(*BODY_PROBLEMS, TaxonomyNotFound, EntryPassed, TaxonomyRetired, TaxonomyNameTaken, TaxonomyInvalid, Forbidden),
)
async def change(taxonomy_id: UUID, body: TaxonomyChange, _: Authority, if_match: IfMatch, tx: Tx, response: Response) -> store.Taxonomy:
    """Change an entry's name, lead or place (the data authority); with If-Match only as it was read."""
    row = await commands.change(
        tx,
        taxonomy_id,
        name=body.name,
        description=body.description,
        lead_organization_id=body.lead_organization_id,
        parent_id=body.parent_id,
        now=utc_now(),
        if_match=if_match,
    )
    show(response, row.changed_at)
    return row


@router.post(
    "/{taxonomy_id}/retirement",
    response_model=TaxonomyOut,
    responses=problems(*BODY_PROBLEMS, TaxonomyNotFound, EntryPassed, TaxonomyRetired, TaxonomyUsed, Forbidden),
)
async def retire(taxonomy_id: UUID, body: RetirementIn, who: Authority, if_match: IfMatch, tx: Tx, response: Response) -> store.Taxonomy:
    """Take an entry out of use, with the reason (the data authority); with If-Match only as it was read."""
    row = await commands.retire(tx, taxonomy_id, reason=body.reason, by=who, now=utc_now(), if_match=if_match)
    show(response, row.changed_at)
    return row


@router.delete("/{taxonomy_id}", status_code=204, responses=problems(TaxonomyNotFound, EntryPassed, TaxonomyUsed, Forbidden))
async def delete(taxonomy_id: UUID, _: Authority, if_match: IfMatch, tx: Tx) -> None:
    """Delete an entry that nothing ever used (the data authority); with If-Match only as it was read."""
    await commands.delete(tx, taxonomy_id, if_match=if_match)
