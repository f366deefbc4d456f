"""What resources are derived from, in PostgreSQL."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CTE, DateTime, ForeignKey, Index, Integer, Text, UniqueConstraint, Uuid, delete, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from catalog_svc.resource.store import Resource
from catalog_svc.rows import Base
from catalog_svc.taxonomy.store import Taxonomy

MAX_DISTANCE = 30
"""How far up or down a chain is followed."""


class LineageEdge(Base):
    """A resource and one source of it: another resource, or a base, domain or theme database."""

    __tablename__ = "lineage_edge"
    __table_args__ = (
        UniqueConstraint("resource_id", "source_resource_id"),
        UniqueConstraint("resource_id", "source_taxonomy_id"),
        Index("ix_lineage_edge_source_resource_id", "source_resource_id"),
        Index("ix_lineage_edge_source_taxonomy_id", "source_taxonomy_id"),
    )
    edge_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"))
    source_resource_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("resource.resource_id"))
    source_taxonomy_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("taxonomy.taxonomy_id"))
    note: Mapped[str | None] = mapped_column(Text)
    set_by: Mapped[str] = mapped_column(Text)
    set_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class Link:
    """An edge with what its ends are called; `distance` 1 is next to the resource that was asked about."""

    edge: LineageEdge
    derived: Resource
    source: Resource | None
    taxonomy: Taxonomy | None
    distance: int


async def lock_all(tx: AsyncSession) -> None:
    """Let one transaction at a time set sources, so that two never close a loop between them."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("catalog_svc.lineage", 0))))


async def sources_of(tx: AsyncSession, resource_id: UUID) -> Sequence[LineageEdge]:
    """Return what a resource is directly derived from, in the order it was given."""
    return (await tx.scalars(select(LineageEdge).where(LineageEdge.resource_id == resource_id).order_by(LineageEdge.edge_id))).all()


async def replace(tx: AsyncSession, resource_id: UUID, edges: Sequence[LineageEdge]) -> None:
    """Make these the sources of a resource."""
    await tx.execute(delete(LineageEdge).where(LineageEdge.resource_id == resource_id))
    tx.add_all(edges)
    await tx.flush()


async def derived_from(tx: AsyncSession, taxonomy_id: UUID) -> Sequence[UUID]:
    """Return the resources directly derived from a taxonomy's entry."""
    query = select(LineageEdge.resource_id).where(LineageEdge.source_taxonomy_id == taxonomy_id).order_by(LineageEdge.resource_id)
    return (await tx.scalars(query)).all()


async def edges_above(tx: AsyncSession, resource_ids: Collection[UUID]) -> list[tuple[UUID, UUID]]:
    """Return all (derived, source) pairs that are reached upwards from these resources, however far."""
    columns = (LineageEdge.resource_id, LineageEdge.source_resource_id)
    tree = select(*columns).where(LineageEdge.resource_id.in_(resource_ids)).cte("edges_above", recursive=True)
    # union without ALL: every pair once, and an end even where a loop is kept
    tree = tree.union(select(*columns).join(tree, LineageEdge.resource_id == tree.c.source_resource_id))
    rows = await tx.execute(select(tree).where(tree.c.source_resource_id.is_not(None)))
    return [(derived, source) for derived, source in rows]


async def upstream(tx: AsyncSession, resource_id: UUID, *, limit: int) -> list[Link]:
    """Return what a resource is derived from, directly and further up, nearest first."""
    start = select(LineageEdge.edge_id, LineageEdge.source_resource_id.label("next"), literal(1, Integer).label("distance"))
    tree = start.where(LineageEdge.resource_id == resource_id).cte("upstream", recursive=True)
    further = select(LineageEdge.edge_id, LineageEdge.source_resource_id, tree.c.distance + 1)
    tree = tree.union(further.join(tree, LineageEdge.resource_id == tree.c.next).where(tree.c.distance < MAX_DISTANCE))
    return await _links(tx, tree, limit)


async def downstream(tx: AsyncSession, resource_id: UUID, *, limit: int) -> list[Link]:
    """Return what is derived from a resource, directly and further down, nearest first."""
    start = select(LineageEdge.edge_id, LineageEdge.resource_id.label("next"), literal(1, Integer).label("distance"))
    tree = start.where(LineageEdge.source_resource_id == resource_id).cte("downstream", recursive=True)
    further = select(LineageEdge.edge_id, LineageEdge.resource_id, tree.c.distance + 1)
    tree = tree.union(further.join(tree, LineageEdge.source_resource_id == tree.c.next).where(tree.c.distance < MAX_DISTANCE))
    return await _links(tx, tree, limit)


async def downstream_of_taxonomy(tx: AsyncSession, taxonomy_id: UUID, *, limit: int) -> list[Link]:
    """Return what is derived from a taxonomy's entry, directly and further down, nearest first."""
    start = select(LineageEdge.edge_id, LineageEdge.resource_id.label("next"), literal(1, Integer).label("distance"))
    tree = start.where(LineageEdge.source_taxonomy_id == taxonomy_id).cte("downstream", recursive=True)
    further = select(LineageEdge.edge_id, LineageEdge.resource_id, tree.c.distance + 1)
    tree = tree.union(further.join(tree, LineageEdge.source_resource_id == tree.c.next).where(tree.c.distance < MAX_DISTANCE))
    return await _links(tx, tree, limit)


async def _links(tx: AsyncSession, tree: CTE, limit: int) -> list[Link]:
    nearest = select(tree.c.edge_id, func.min(tree.c.distance).label("distance")).group_by(tree.c.edge_id).subquery()
    source = aliased(Resource)
    query = (
        select(LineageEdge, Resource, source, Taxonomy, nearest.c.distance)
        .join(nearest, nearest.c.edge_id == LineageEdge.edge_id)
        .join(Resource, Resource.resource_id == LineageEdge.resource_id)
        .outerjoin(source, source.resource_id == LineageEdge.source_resource_id)
        .outerjoin(Taxonomy, Taxonomy.taxonomy_id == LineageEdge.source_taxonomy_id)
        .order_by(nearest.c.distance, LineageEdge.edge_id)
        .limit(limit)
    )
    return [Link(*row) for row in await tx.execute(query)]
