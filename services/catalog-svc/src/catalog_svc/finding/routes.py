"""Searching the catalogue over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from catalog_svc.finding import domain
from catalog_svc.finding.entry import Entry, Found, Marks, Place, Scope
from catalog_svc.finding.errors import IndexNotReady
from catalog_svc.finding.index import Index
from catalog_svc.finding.watch import Finder
from catalog_svc.resource.definition import ClassPath
from catalog_svc.taxonomy.domain import TaxonomyCode
from dxmesh_runtime import paging
from dxmesh_runtime.auth import Principal, Who
from dxmesh_runtime.paging import CursorInvalid, CursorText
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import Level, OpenType, SharingType, UpdateCycle
from dxmesh_schemas.catalog_attributes import FormatClass

router = APIRouter(prefix="/v1/search", tags=["search"])
_FACET_VALUES = 200
_LARGEST_SCORE = 10_000
Text = Annotated[str, Query(max_length=200, description="what is looked for; full width, case and unseen characters make no difference")]
Limit = Annotated[int, Query(ge=1, le=100, description="at most this many")]


class ProviderOut(BaseModel):
    """The organization a resource belongs to."""

    organization_id: UUID
    uscc: str
    name: str
    division_code: str
    level: Level


class ItemFound(BaseModel):
    """An item that holds what was asked for; `html` is its name with <mark>, null when it was found by its code."""

    code: str
    name: str
    html: str | None


class MarksOut(BaseModel):
    """Where a result holds what was asked for: escaped HTML with <mark>, null where nothing was found."""

    name: str | None
    summary: str | None
    organization: str | None
    items: list[ItemFound]
    item_count: int


class ResultOut(BaseModel):
    """A resource that was found: the version in force, or the first draft where the caller may see it."""

    resource_id: UUID
    resource_code: str
    state: str
    version: int | None
    provider: ProviderOut
    system_id: UUID
    name: str
    summary: str
    class_path: str
    sharing_type: SharingType
    open_type: OpenType
    format_class: FormatClass | None
    open_theme: str | None
    taxonomies: list[str]
    update_cycle: UpdateCycle
    item_count: int
    shareable_item_count: int
    published_at: datetime | None
    marks: MarksOut | None


class FacetValue(BaseModel):
    """How many of all results have a value; `label` is the name of an organization or of an entry of a taxonomy."""

    value: str
    label: str | None = None
    count: int


class FacetsOut(BaseModel):
    """The counts of all results, not of the page; of classes, the one asked for and those one step below it.

    What belongs to an entry of a taxonomy counts for those above it too.
    """

    class_path: list[FacetValue]
    organization: list[FacetValue]
    level: list[FacetValue]
    sharing_type: list[FacetValue]
    open_type: list[FacetValue]
    format: list[FacetValue]
    theme: list[FacetValue]
    taxonomy: list[FacetValue]


class SearchOut(BaseModel):
    """A page of results, the best first.

    `tokens` is what the text was read as; none of them means that nothing can be found by it. `is_cut`: more than eight were given.
    `is_relaxed`: nothing holds all of it, these hold most.
    """

    items: list[ResultOut]
    next_cursor: str | None
    total: int
    facets: FacetsOut
    tokens: list[str]
    is_cut: bool
    is_relaxed: bool


class SuggestionOut(BaseModel):
    """A text that leads to results; `kind` is organization, resource or item."""

    text: str
    kind: str
    resource_count: int


class SuggestionsOut(BaseModel):
    """Suggestions, the best first."""

    items: list[SuggestionOut]


def _scope(who: Principal) -> Scope:
    return Scope(all=who.has("authority"), organization_id=who.organization_id)


def _index(request: Request) -> Index:
    finder: Finder = request.state.finder
    return finder.index


@router.get("", response_model=SearchOut, responses=problems(CursorInvalid, IndexNotReady))
async def search(
    request: Request,
    who: Who,
    q: Text | None = None,
    class_path: Annotated[ClassPath | None, Query(description="a class and all below it")] = None,
    organization: Annotated[UUID | None, Query(description="organization id")] = None,
    level: Annotated[Level | None, Query(description="the provider's level")] = None,
    sharing_type: SharingType | None = None,
    open_type: OpenType | None = None,
    format: Annotated[FormatClass | None, Query(description="format class")] = None,  # noqa: A002  # the name callers know
    theme: Annotated[str | None, Query(max_length=200, description="open theme")] = None,
    taxonomy: Annotated[
        TaxonomyCode | None,
        Query(description="code of a base database, domain warehouse or theme database: what belongs to it or below it"),
    ] = None,
    limit: Limit = 20,
    cursor: CursorText = None,
) -> Response:
    """Find resources by name, code, summary, items and provider; without a text, the newest ones.

    Only what the caller may see: what is published, and the drafts of its own organization; the data authority sees all.
    """
    after = _place(cursor)
    index = _index(request)
    asked = {
        "class_path": class_path, "organization": organization and str(organization), "level": level, "sharing_type": sharing_type,
        "open_type": open_type, "format": format, "theme": theme, "taxonomy": taxonomy,
    }  # fmt: skip
    filters = {name: str(value) for name, value in asked.items() if value is not None}
    query = domain.read_query(q) if q is not None and q.strip() else None
    found = index.search(query, _scope(who), filters, limit=limit, after=after)
    marks = [index.marks(entry, query) if query is not None else None for entry in found.entries]
    body = {
        "items": [_result(entry, mark) for entry, mark in zip(found.entries, marks, strict=True)],
        "next_cursor": paging.encode(f"{found.last.score}|{found.last.order:x}".encode()) if found.last is not None else None,
        "total": found.total,
        "facets": _facets(index, found),
        "tokens": query.tokens if query is not None else (),
        "is_cut": query is not None and query.is_cut,
        "is_relaxed": found.is_relaxed,
    }
    return Response(orjson.dumps(body, default=str), media_type="application/json")  # the driver's UUIDs are a subclass


@router.get("/suggest", response_model=SuggestionsOut, responses=problems(IndexNotReady))
async def suggest(request: Request, who: Who, q: Text, limit: Annotated[int, Query(ge=1, le=20)] = 10) -> Response:
    """Complete what is being typed: providers, resources and items whose names begin with it, then resources that hold it."""
    found = _index(request).suggest(domain.fold(q), _scope(who), limit=limit)
    body = {"items": [{"text": text, "kind": kind, "resource_count": count} for text, kind, count in found]}
    return Response(orjson.dumps(body), media_type="application/json")


def _place(cursor: str | None) -> Place | None:
    """Return where a page begins. Raises: CursorInvalid (422)."""
    text = paging.after_text(cursor)
    if text is None:
        return None
    try:
        score, order = text.split("|")
        place = Place(int(score), int(order, 16))
    except ValueError as wrong:
        raise CursorInvalid from wrong
    if not 0 <= place.score <= _LARGEST_SCORE or place.order < 0:
        raise CursorInvalid
    return place


def _result(entry: Entry, marks: Marks | None) -> dict[str, Any]:
    organization = entry.organization
    return {
        "resource_id": entry.resource_id,
        "resource_code": entry.resource_code,
        "state": entry.state,
        "version": entry.version or None,
        "provider": {
            "organization_id": organization.organization_id,
            "uscc": organization.uscc,
            "name": organization.name,
            "division_code": organization.division_code,
            "level": organization.level,
        },
        "system_id": entry.system_id,
        "name": entry.name,
        "summary": entry.summary,
        "class_path": entry.class_path,
        "sharing_type": entry.sharing_type,
        "open_type": entry.open_type,
        "format_class": entry.format,
        "open_theme": entry.theme,
        "taxonomies": entry.taxonomies,
        "update_cycle": entry.update_cycle,
        "item_count": entry.item_count,
        "shareable_item_count": entry.shareable_item_count,
        "published_at": entry.published_at,
        "marks": marks and _marks(marks),
    }


def _marks(marks: Marks) -> dict[str, Any]:
    return {
        "name": marks.name,
        "summary": marks.summary,
        "organization": marks.organization,
        "items": [{"code": code, "name": name, "html": html} for code, name, html in marks.items],
        "item_count": marks.item_count,
    }


def _facets(index: Index, found: Found) -> dict[str, list[dict[str, Any]]]:
    facets: dict[str, list[dict[str, Any]]] = {}
    for name, counts in found.facets.items():
        facets[name] = [{"value": value, "label": _label(index, name, value), "count": count} for value, count in counts[:_FACET_VALUES]]
    return facets


def _label(index: Index, facet: str, value: str) -> str | None:
    if facet == "taxonomy":
        taxonomy = index.taxonomies.get(value)
        return taxonomy.name if taxonomy is not None else None
    organization = index.organization(UUID(value)) if facet == "organization" else None
    return organization.name if organization is not None else None
