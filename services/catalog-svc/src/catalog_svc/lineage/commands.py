"""What says where a derived resource comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.etag import Tags, made_of, refuse_other
from catalog_svc.lineage import domain, store
from catalog_svc.lineage.errors import LineageInvalid, LineageLoop
from catalog_svc.resource import commands as resources
from catalog_svc.resource import store as resource_store
from catalog_svc.resource.domain import State, refuse_change
from catalog_svc.resource.errors import ResourceNotFound
from catalog_svc.taxonomy import store as taxonomies
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.problem import Fault, Forbidden

MAX_LINKS = 1_000
"""Links that one answer holds in each direction."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it is sent: exactly one of the ids is there."""

    resource_id: UUID | None
    taxonomy_id: UUID | None
    note: str | None = None


async def put(
    tx: AsyncSession, resource_id: UUID, sources: Sequence[Source], *, by: Principal, now: datetime, if_match: Tags = None
) -> None:
    """Say what a resource is derived from, in place of what was said before.

    A source that was named before may stay although it was withdrawn or retired since; it is no source for others.

    Raises: ResourceNotFound (404), Forbidden (403), EntryPassed (412), IllegalTransition (409) for a withdrawn resource,
    LineageInvalid (422), LineageLoop (422) with the way round.
    """
    row = await resources.get_visible(tx, resource_id, by=by)
    if not resources.may_edit(by, row.organization_id):
        raise Forbidden("lineage is kept by a steward of the resource's provider or the data authority")
    refuse_change(State(row.state))
    await store.lock_all(tx)
    known = await store.sources_of(tx, resource_id)
    refuse_other(if_match, made_of(edge.edge_id for edge in known))
    _refuse(domain.shape_faults([(source.resource_id, source.taxonomy_id) for source in sources]))
    before = {edge.source_resource_id or edge.source_taxonomy_id for edge in known}
    _refuse(await _source_faults(tx, sources, before=before, by=by))
    named = [source.resource_id for source in sources if source.resource_id is not None]
    path = domain.loop(resource_id, named, await store.edges_above(tx, named))
    if path is not None:
        pointer = f"/sources/{next(index for index, source in enumerate(sources) if source.resource_id == path[1])}"
        detail = "is derived from this resource itself (see `path`); take this source out, or the step that leads back"
        if len(path) == 2:
            detail = "is the resource itself; name what it is derived from"
        raise LineageLoop.of([(pointer, detail)], path=[str(one) for one in path])
    edges = [
        store.LineageEdge(
            edge_id=uuid7(),
            resource_id=resource_id,
            source_resource_id=source.resource_id,
            source_taxonomy_id=source.taxonomy_id,
            note=source.note or None,
            set_by=by.subject,
            set_at=now,
        )
        for source in sources
    ]
    await store.replace(tx, resource_id, edges)


async def etag(tx: AsyncSession, resource_id: UUID) -> str:
    """Return the entity tag of what a resource is directly derived from, also where nothing is said."""
    return made_of(edge.edge_id for edge in await store.sources_of(tx, resource_id))


def visible(links: Sequence[store.Link], by: Principal) -> list[store.Link]:
    """Leave out links to drafts that the caller may not know of."""
    return [link for link in links if _sees(by, link.derived) and (link.source is None or _sees(by, link.source))]


def _sees(by: Principal, row: resource_store.Resource) -> bool:
    return row.version > 0 or resources.reads_draft(by, row.organization_id)


async def _source_faults(tx: AsyncSession, sources: Sequence[Source], *, before: set[UUID | None], by: Principal) -> list[Fault]:
    known = await taxonomies.keep(tx, {source.taxonomy_id for source in sources if source.taxonomy_id is not None})
    faults: list[Fault] = []
    for index, source in enumerate(sources):
        if source.taxonomy_id is not None:
            entry = known.get(source.taxonomy_id)
            if entry is None:
                faults.append((f"/sources/{index}/taxonomy_id", "is no entry of a taxonomy; GET /v1/taxonomies lists them"))
            elif entry.retired_at is not None and source.taxonomy_id not in before:
                faults.append((f"/sources/{index}/taxonomy_id", f"is {entry.code}, which is retired; name one that is in use"))
        elif source.resource_id is not None:
            try:
                row = await resources.get_visible(tx, source.resource_id, by=by)
            except ResourceNotFound:
                faults.append((f"/sources/{index}/resource_id", "is no resource you may see; enter or find it first"))
                continue
            if row.state == State.WITHDRAWN.value and source.resource_id not in before:
                faults.append((f"/sources/{index}/resource_id", "is withdrawn; name what the data come from now"))
    return faults


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise LineageInvalid.of(faults)
