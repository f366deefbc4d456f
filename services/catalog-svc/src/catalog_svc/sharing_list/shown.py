"""What the six lists show, page by page and as files: the kept ones, and what is registered as the system and data lists."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, false, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from catalog_svc.organization.store import Organization
from catalog_svc.resource.store import Resource
from catalog_svc.sharing_list.domain import KeptKind, ListKind
from catalog_svc.sharing_list.store import Asked, ListEntry, chosen
from catalog_svc.system.store import System

_PIECE_ROWS = 1_000


async def stream_entries(
    tx: AsyncSession, kind: KeptKind, asked: Asked, *, drafts_of: UUID | None = None, all_drafts: bool = True
) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Yield the entries with the names of what they refer to, a thousand at a time, by owner and name.

    The code of a draft is told to its provider, unless all are asked for.
    """
    counterpart = aliased(Organization)
    code = case((or_(Resource.version > 0, Resource.organization_id == drafts_of, literal(all_drafts)), Resource.resource_code))
    query = (
        select(
            ListEntry.entry_id,
            Organization.uscc.label("owner_uscc"),
            Organization.name.label("owner_name"),
            *(getattr(ListEntry, name) for name in ("name", "content", "status", "due_on", "basis", "forbids", "version", "changed_at")),
            counterpart.uscc.label("counterpart_uscc"),
            counterpart.name.label("counterpart_name"),
            code.label("resource_code"),
            System.name.label("system_name"),
        )
        .join(Organization, Organization.organization_id == ListEntry.organization_id)
        .outerjoin(counterpart, counterpart.organization_id == ListEntry.counterpart_id)
        .outerjoin(Resource, Resource.resource_id == ListEntry.resource_id)
        .outerjoin(System, System.system_id == ListEntry.system_id)
        .order_by(Organization.uscc, ListEntry.name_key, ListEntry.entry_id)
    )
    async for piece in _stream(tx, chosen(query, kind, asked)):
        yield piece


def _systems(of: UUID | None) -> Select[*tuple[Any, ...]]:
    in_force = (
        select(Resource.system_id, func.count().label("resource_count"))
        .where(Resource.version > 0, Resource.withdrawn_at.is_(None))
        .group_by(Resource.system_id)
        .subquery()
    )
    query = (
        select(
            System.system_id,
            System.organization_id,
            Organization.uscc.label("owner_uscc"),
            Organization.name.label("owner_name"),
            System.name,
            System.kind,
            System.state,
            System.on_gov_cloud,
            System.is_main_system,
            System.sector,
            func.coalesce(in_force.c.resource_count, 0).label("resource_count"),
            System.registered_at,
        )
        .join(Organization, Organization.organization_id == System.organization_id)
        .outerjoin(in_force, in_force.c.system_id == System.system_id)
    )
    return query if of is None else query.where(System.organization_id == of)


async def page_of_systems(tx: AsyncSession, *, of: UUID | None, q: str | None, after: UUID | None, limit: int) -> Sequence[dict[str, Any]]:
    """Return up to limit + 1 systems as the system list shows them, in the order of registration."""
    query = _systems(of).order_by(System.system_id).limit(limit + 1)
    if q:
        query = query.where(System.name.icontains(q, autoescape=True))
    if after is not None:
        query = query.where(System.system_id > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def stream_systems(tx: AsyncSession, *, of: UUID | None) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Yield the system list, a thousand at a time, by owner and name."""
    async for piece in _stream(tx, _systems(of).order_by(Organization.uscc, System.name_key, System.system_id)):
        yield piece


def _resources(of: UUID | None, drafts_of: UUID | None, *, all_drafts: bool) -> Select[*tuple[Any, ...]]:
    query = (
        select(
            Resource.resource_id,
            Resource.organization_id,
            Resource.resource_code,
            Resource.name,
            Organization.uscc.label("provider_uscc"),
            Organization.name.label("provider_name"),
            System.name.label("system_name"),
            Resource.state,
            Resource.version,
            Resource.sharing_type,
            Resource.open_type,
            Resource.update_cycle,
            Resource.item_count,
            Resource.shareable_item_count,
            Resource.published_at,
        )
        .join(Organization, Organization.organization_id == Resource.organization_id)
        .join(System, System.system_id == Resource.system_id)
        .where(Resource.withdrawn_at.is_(None))
    )
    if not all_drafts:
        query = query.where(or_(Resource.version > 0, false() if drafts_of is None else Resource.organization_id == drafts_of))
    return query if of is None else query.where(Resource.organization_id == of)


async def page_of_resources(
    tx: AsyncSession, *, of: UUID | None, drafts_of: UUID | None, all_drafts: bool, q: str | None, after: UUID | None, limit: int
) -> Sequence[dict[str, Any]]:
    """Return up to limit + 1 resources as the data list shows them: those in force, and drafts the caller may see."""
    query = _resources(of, drafts_of, all_drafts=all_drafts).order_by(Resource.resource_id).limit(limit + 1)
    if q:
        query = query.where(or_(*(column.icontains(q, autoescape=True) for column in (Resource.name, Resource.resource_code))))
    if after is not None:
        query = query.where(Resource.resource_id > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def stream_resources(tx: AsyncSession, *, of: UUID | None) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Yield the resources in force with their definitions, some hundreds at a time, by resource code."""
    query = _resources(of, None, all_drafts=False).add_columns(Resource.definition).order_by(Resource.resource_code)
    async for piece in _stream(tx, query, rows=200):
        yield piece


async def _stream(tx: AsyncSession, query: Select[*tuple[Any, ...]], *, rows: int = _PIECE_ROWS) -> AsyncIterator[Sequence[dict[str, Any]]]:
    result = await tx.stream(query, execution_options={"yield_per": rows})
    async for piece in result.mappings().partitions(rows):
        yield [dict(row) for row in piece]


async def counts(tx: AsyncSession) -> dict[str, int]:
    """Return how many entries each of the six lists has; of the data list, resources in force."""
    rows = await tx.execute(select(ListEntry.kind, func.count().label("entry_count")).group_by(ListEntry.kind))
    kept = dict.fromkeys((kind.value for kind in KeptKind), 0) | {row.kind: row.entry_count for row in rows}
    in_force = select(func.count()).select_from(Resource).where(Resource.version > 0, Resource.withdrawn_at.is_(None))
    systems = select(func.count()).select_from(System)
    return kept | {ListKind.SYSTEM.value: await tx.scalar(systems) or 0, ListKind.DATA.value: await tx.scalar(in_force) or 0}
