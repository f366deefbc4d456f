"""What the pages show, read with one query for each part."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Row, Select, SQLColumnExpression, Uuid, case, cast, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.duty.store import Duty
from catalog_svc.organization.store import Organization
from catalog_svc.resource.domain import KNOWN_TO_ALL
from catalog_svc.resource.store import WITHOUT_ENTRIES, Resource, ResourceVersion
from catalog_svc.system.store import System
from dxmesh_runtime.outbox import outbox
from dxmesh_schemas.catalog import SystemState

PAGE_ROWS = 50
_IN_FORCE = Resource.version > 0
_PUBLISHED = Resource.state == "published"
_HELD = Resource.state != "withdrawn"


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a list: its rows, which page it is, and how many there are in all."""

    rows: Sequence[Any]
    page: int
    total: int

    @property
    def page_count(self) -> int:
        """Return the number of pages, at least one."""
        return max(1, -(-self.total // PAGE_ROWS))


async def by_level(tx: AsyncSession, *, of: UUID | None) -> list[dict[str, Any]]:
    """Return the ledger by level: organizations, systems, resources, those in force with their items and shareable items.

    With `of`, that organization's line alone.
    """
    levels = case({"nation": 0, "province": 1, "city": 2, "county": 3}, value=Organization.level, else_=4)
    systems = select(System.organization_id, func.count().label("systems")).group_by(System.organization_id).subquery()
    resources = select(Resource.organization_id, *_counts()).group_by(Resource.organization_id).subquery()
    sums = [
        func.coalesce(func.sum(column), 0).label(column.key)
        for column in (
            systems.c.systems,
            *(resources.c[name] for name in ("resources", "published", "item_count", "shareable_count", "waiting")),
        )
    ]
    query = (
        select(Organization.level, func.count().label("organizations"), *sums)
        .outerjoin(systems, systems.c.organization_id == Organization.organization_id)
        .outerjoin(resources, resources.c.organization_id == Organization.organization_id)
        .group_by(Organization.level)
        .order_by(levels)
    )
    if of is not None:
        query = query.where(Organization.organization_id == of)
    return [{name: value if name == "level" else int(value) for name, value in row._mapping.items()} for row in await tx.execute(query)]


def _counts(of: UUID | None = None) -> list[ColumnElement[Any]]:
    in_force = _PUBLISHED & _IN_FORCE
    return [
        func.count().filter(_HELD).label("resources"),
        func.count().filter(in_force).label("published"),
        func.coalesce(func.sum(Resource.item_count).filter(in_force), 0).label("item_count"),
        func.coalesce(func.sum(Resource.shareable_item_count).filter(in_force), 0).label("shareable_count"),
        func.count().filter(Resource.draft_state.is_not(None) & _own(of)).label("waiting"),
    ]


def _own(of: UUID | None) -> ColumnElement[bool]:
    return true() if of is None else Resource.organization_id == of


def _visible(of: UUID | None) -> ColumnElement[bool]:
    """Say which resources a reader may know of: all, or those that were in force and the organization's own."""
    return true() if of is None else or_(Resource.state.in_(KNOWN_TO_ALL), Resource.organization_id == of)


async def states(tx: AsyncSession, *, of: UUID | None) -> dict[str, int]:
    """Count resources by state, of one organization when `of` is given."""
    rows = await tx.execute(select(Resource.state, func.count()).where(_own(of)).group_by(Resource.state))
    return {row[0]: row[1] for row in rows}


async def waiting(
    tx: AsyncSession, limit: int, *, of: UUID | None
) -> tuple[dict[str, tuple[int, datetime]], Sequence[Row[Resource, Organization]]]:
    """Return drafts by where they stand (count, waiting since at the longest), and those that wait longest, with their providers."""
    draft = Resource.draft_state
    groups = select(draft, func.count(), func.min(Resource.changed_at)).where(draft.is_not(None), _own(of)).group_by(draft)
    counts = {state or "": (count, since) for state, count, since in await tx.execute(groups)}
    order = case({"approved": 0, "submitted": 1, "draft": 2, "announced": 3}, value=draft, else_=4)
    query = _with_provider().where(draft.is_not(None), _own(of)).order_by(order, Resource.changed_at).limit(limit)
    return counts, (await tx.execute(query)).all()


async def owed(tx: AsyncSession, *, of: UUID | None, now: datetime) -> tuple[int, int]:
    """Count the duties that are still owed: those whose end is near, and those it has passed; of one organization when `of` is given."""
    is_missed = Duty.missed_at <= now
    counts = select(func.count().filter(~is_missed, Duty.approaching_at <= now), func.count().filter(is_missed))
    query = counts.where(Duty.met_at.is_(None), Duty.cancelled_at.is_(None))
    approaching, missed = (await tx.execute(query if of is None else query.where(Duty.organization_id == of))).one()
    return approaching, missed


async def newest_versions(tx: AsyncSession, limit: int) -> Sequence[Row[int, datetime, Resource, Organization]]:
    """Return the versions that came in force last, each with its resource and provider."""
    query = (
        select(ResourceVersion.version, ResourceVersion.published_at, Resource, Organization)
        .join(Resource, Resource.resource_id == ResourceVersion.resource_id)
        .join(Organization, Organization.organization_id == Resource.organization_id)
        .options(*WITHOUT_ENTRIES)
        .order_by(ResourceVersion.published_at.desc(), Resource.resource_id)
        .limit(limit)
    )
    return (await tx.execute(query)).all()


def _with_provider() -> Select[Resource, Organization]:
    query = select(Resource, Organization).join(Organization, Organization.organization_id == Resource.organization_id)
    return query.options(*WITHOUT_ENTRIES)


async def resources(
    tx: AsyncSession,
    *,
    ids: Sequence[UUID] | None,
    of: UUID | None,
    state: str | None,
    provider: UUID | None,
    system: UUID | None,
    page: int,
) -> Found:
    """Return resources the reader may know of (`of`: beside what was in force, those of that organization; None: all).

    `ids` are those a search found, in their order. `state` is the resource's, or its draft's where the reader sees drafts.
    """
    query = _with_provider().where(_visible(of))
    order: SQLColumnExpression[Any] = Resource.resource_id.desc()
    if ids is not None:
        query = query.where(Resource.resource_id.in_(ids))
        order = func.array_position(cast(list(ids), ARRAY(Uuid())), Resource.resource_id)
    if state is not None:
        query = query.where(or_(Resource.state == state, (Resource.draft_state == state) & _own(of)))
    if provider is not None:
        query = query.where(Resource.organization_id == provider)
    if system is not None:
        query = query.where(Resource.system_id == system)
    return await _page(tx, query, page, order)


async def organizations(tx: AsyncSession, *, of: UUID | None, q: str, page: int) -> Found:
    """Find organizations by name, unified social credit code or division, with what they hold as far as the reader may know."""
    held = select(Resource.organization_id, *_counts(of)).where(_visible(of)).group_by(Resource.organization_id).subquery()
    own_systems = true() if of is None else System.organization_id == of
    run = select(System.organization_id, func.count().label("systems")).where(own_systems).group_by(System.organization_id).subquery()
    query = (
        select(Organization, run.c.systems, held.c.resources, held.c.published, held.c.item_count, held.c.shareable_count, held.c.waiting)
        .outerjoin(held, held.c.organization_id == Organization.organization_id)
        .outerjoin(run, run.c.organization_id == Organization.organization_id)
    )
    if q:
        columns = (Organization.name, Organization.uscc, Organization.division_code)
        query = query.where(or_(*(column.icontains(q, autoescape=True) for column in columns)))
    return await _page(tx, query, page, Organization.organization_id)


async def systems(tx: AsyncSession, *, of: UUID | None, q: str, provider: UUID | None, page: int) -> Found:
    """Find information systems by name or organization, with how many resources hang on each; with `of`, that organization's."""
    held = select(Resource.system_id, *_counts()).group_by(Resource.system_id).subquery()
    query = (
        select(System, Organization, held.c.resources, held.c.published)
        .join(Organization, Organization.organization_id == System.organization_id)
        .outerjoin(held, held.c.system_id == System.system_id)
    )
    if q:
        query = query.where(or_(*(column.icontains(q, autoescape=True) for column in (System.name, Organization.name))))
    for organization_id in (of, provider):
        if organization_id is not None:
            query = query.where(System.organization_id == organization_id)
    return await _page(tx, query, page, System.system_id)


async def systems_taking(tx: AsyncSession, *, of: UUID | None, limit: int) -> Sequence[Row[System, str]]:
    """Return the systems a resource may hang on, with whose they are; of one organization when `of` is given."""
    query = select(System, Organization.name).join(Organization, Organization.organization_id == System.organization_id)
    query = query.where(System.state != SystemState.RETIRED.value)
    if of is not None:
        query = query.where(System.organization_id == of)
    return (await tx.execute(query.order_by(Organization.name, System.name).limit(limit))).all()


async def names_of(tx: AsyncSession, *, organizations: Collection[UUID], resources: Collection[UUID]) -> dict[UUID, str]:
    """Return what these organizations and resources are called."""
    wanted = (
        select(Organization.organization_id, Organization.name).where(Organization.organization_id.in_(set(organizations))),
        select(Resource.resource_id, Resource.name).where(Resource.resource_id.in_(set(resources))),
    )
    return {row[0]: row[1] for query in wanted for row in await tx.execute(query)}


async def owners(tx: AsyncSession, *, limit: int) -> Sequence[Row[UUID, str]]:
    """Return the organizations a system may belong to."""
    query = select(Organization.organization_id, Organization.name).order_by(Organization.name)
    return (await tx.execute(query.limit(limit))).all()


async def _page(tx: AsyncSession, query: Select[*tuple[Any, ...]], page: int, order: SQLColumnExpression[Any]) -> Found:
    total = await tx.scalar(select(func.count()).select_from(query.subquery())) or 0
    page = min(page, max(1, -(-total // PAGE_ROWS)))
    rows = (await tx.execute(query.order_by(order).limit(PAGE_ROWS).offset((page - 1) * PAGE_ROWS))).all()
    return Found(rows, page, total)


async def outbox_state(tx: AsyncSession) -> tuple[int, datetime | None, datetime | None]:
    """Return how many events wait to be sent, since when, and when the last one was."""
    pending = outbox.c.published_at.is_(None)
    query = select(func.count().filter(pending), func.min(outbox.c.created_at).filter(pending), func.max(outbox.c.published_at))
    count, oldest, last = (await tx.execute(query)).one()
    return int(count), oldest, last
