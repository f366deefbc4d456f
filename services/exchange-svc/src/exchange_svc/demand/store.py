"""Demands as they are kept, and what is published here to meet them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.catalog import OrganizationRef
from exchange_svc.catalog.store import Resource
from exchange_svc.demand.domain import Published
from exchange_svc.demand.errors import DemandNotFound
from exchange_svc.request.store import SharingRequest
from exchange_svc.sharing_list import store as lists
from exchange_svc.sharing_list.store import Entry

_NOT_SHARED = "NOT_SHARED"


async def get(tx: AsyncSession, entry_id: UUID) -> Entry:
    """Return a demand. Raises DemandNotFound (404)."""
    row = await lists.find(tx, entry_id, "demand")
    if row is None:
        raise DemandNotFound(f"demand {entry_id} is not known on this node, or its entry has not arrived yet")
    return row


async def list_demands(
    tx: AsyncSession, *, owner_id: UUID | None, asked_id: UUID | None, is_over: bool | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Entry]:
    """Return demands, newest first: of an owner, of whoever asks a department, open or over."""
    query = select(Entry).where(Entry.kind == "demand")
    if owner_id is not None:
        query = query.where(Entry.owner_id == owner_id)
    if asked_id is not None:
        query = query.where(Entry.snapshot["counterpart"]["organization_id"].astext == str(asked_id))
    if is_over is not None:
        query = query.where(Entry.is_over.is_(is_over))
    return (await tx.scalars(newest_first(query, Entry.entered_at, Entry.entry_id, limit=limit, after=after))).all()


async def list_requests(tx: AsyncSession, entry_id: UUID) -> Sequence[UUID]:
    """Return the requests that came from a demand, oldest first."""
    query = select(SharingRequest.request_id).where(SharingRequest.demand_id == entry_id)
    return (await tx.scalars(query.order_by(SharingRequest.created_at, SharingRequest.request_id))).all()


async def state_of_published(tx: AsyncSession) -> str:
    """Return what changes whenever a version comes in force or a resource is withdrawn."""
    each = func.concat(Resource.resource_id, Resource.version, Resource.withdrawn_at)
    state: str = (await tx.scalars(select(func.md5(func.array_to_string(func.array_agg(aggregate_order_by(each, each)), ","))))).one() or ""
    return state


async def list_published(tx: AsyncSession) -> Sequence[Published]:
    """Return what of the resources in force is looked at; what is not shared is left out, and so are items."""
    snapshot = Resource.snapshot
    items = func.jsonb_path_query_array(snapshot, cast('$.items[*] ? (@.sharing_type != "NOT_SHARED")', JSONPATH))
    query = select(Resource.resource_id, snapshot["name"].astext, snapshot["sharing_type"].astext, snapshot["provider"], items)
    query = query.where(Resource.withdrawn_at.is_(None), snapshot["sharing_type"].astext != _NOT_SHARED).order_by(Resource.resource_id)
    return [
        Published(row[0], row[1], row[2], OrganizationRef.model_validate(row[3]), {item["code"]: item["name"] for item in row[4]})
        for row in await tx.execute(query)
    ]
