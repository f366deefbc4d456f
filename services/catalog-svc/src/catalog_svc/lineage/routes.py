"""Lineage of data resources over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.etag import EntryPassed, IfMatch
from catalog_svc.lineage import commands, store
from catalog_svc.lineage.commands import MAX_LINKS, Source
from catalog_svc.lineage.errors import LineageInvalid, LineageLoop
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.resource import commands as resources
from catalog_svc.resource.errors import IllegalTransition, ResourceNotFound
from catalog_svc.taxonomy import store as taxonomies
from catalog_svc.taxonomy.errors import TaxonomyNotFound
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Paragraph

router = APIRouter(prefix="/v1", tags=["lineage"], dependencies=[Depends(json_body)])


class SourceIn(BaseModel):
    """A source: a resource, or a base, domain or theme database; exactly one of the ids."""

    model_config = ConfigDict(extra="forbid")
    resource_id: UUID | None = None
    taxonomy_id: UUID | None = None
    note: Annotated[Paragraph | None, Field(description="how the data are derived from it")] = None


class LineageIn(BaseModel):
    """All that a resource is directly derived from."""

    model_config = ConfigDict(extra="forbid")
    sources: Annotated[list[SourceIn], Field(max_length=100)]


class LinkOut(BaseModel):
    """A derived resource and one source of it."""

    resource_id: UUID
    resource_name: str
    source_resource_id: UUID | None
    source_taxonomy_id: UUID | None
    source_name: str
    note: str | None
    distance: Annotated[int, Field(description="1 is next to what was asked about")]
    set_by: str
    set_at: datetime


class LineageOut(BaseModel):
    """What a resource comes from and what comes from it, nearest first; links to drafts of others are left out."""

    resource_id: UUID
    upstream: list[LinkOut]
    downstream: list[LinkOut]
    is_complete: Annotated[bool, Field(description=f"false when there are more than {MAX_LINKS} links in a direction")]


class TaxonomyLineageOut(BaseModel):
    """What comes from a base, domain or theme database, nearest first."""

    taxonomy_id: UUID
    downstream: list[LinkOut]
    is_complete: bool


def _shown(links: Sequence[store.Link], who: Who) -> list[LinkOut]:
    return [
        LinkOut(
            resource_id=link.edge.resource_id,
            resource_name=link.derived.name,
            source_resource_id=link.edge.source_resource_id,
            source_taxonomy_id=link.edge.source_taxonomy_id,
            source_name=link.source.name if link.source is not None else link.taxonomy.name if link.taxonomy is not None else "",
            note=link.edge.note,
            distance=link.distance,
            set_by=link.edge.set_by,
            set_at=link.edge.set_at,
        )
        for link in commands.visible(links[:MAX_LINKS], who)
    ]


async def _lineage(tx: Tx, resource_id: UUID, who: Who, response: Response) -> LineageOut:
    response.headers["ETag"] = await commands.etag(tx, resource_id)
    up = await store.upstream(tx, resource_id, limit=MAX_LINKS + 1)
    down = await store.downstream(tx, resource_id, limit=MAX_LINKS + 1)
    is_complete = max(len(up), len(down)) <= MAX_LINKS
    return LineageOut(resource_id=resource_id, upstream=_shown(up, who), downstream=_shown(down, who), is_complete=is_complete)


@router.put(
    "/resources/{resource_id}/lineage",
    responses=problems(*BODY_PROBLEMS, ResourceNotFound, EntryPassed, IllegalTransition, LineageInvalid, LineageLoop, Forbidden),
)
async def put(resource_id: UUID, body: LineageIn, who: Who, if_match: IfMatch, tx: Tx, response: Response) -> LineageOut:
    """Say what a resource is derived from, in place of what was said before; with If-Match only of what was read."""
    sources = [Source(one.resource_id, one.taxonomy_id, one.note) for one in body.sources]
    await commands.put(tx, resource_id, sources, by=who, now=utc_now(), if_match=if_match)
    return await _lineage(tx, resource_id, who, response)


@router.get("/resources/{resource_id}/lineage", responses=problems(ResourceNotFound))
async def get_lineage(resource_id: UUID, who: Who, tx: Tx, response: Response) -> LineageOut:
    """Return what a resource is derived from and what is derived from it; the ETag is that of its own sources, and goes into If-Match."""
    await resources.get_visible(tx, resource_id, by=who)
    return await _lineage(tx, resource_id, who, response)


@router.get("/taxonomies/{taxonomy_id}/lineage", responses=problems(TaxonomyNotFound))
async def get_lineage_of_taxonomy(taxonomy_id: UUID, who: Who, tx: Tx) -> TaxonomyLineageOut:
    """Return what is derived from a base, domain or theme database."""
    await taxonomies.get(tx, taxonomy_id)
    links = await store.downstream_of_taxonomy(tx, taxonomy_id, limit=MAX_LINKS + 1)
    return TaxonomyLineageOut(taxonomy_id=taxonomy_id, downstream=_shown(links, who), is_complete=len(links) <= MAX_LINKS)
