"""Taxonomies in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Integer, Text, Uuid, func, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.rows import Base
from catalog_svc.taxonomy.domain import MAX_DEPTH, Entry, TaxonomyKind, code_key
from catalog_svc.taxonomy.errors import TaxonomyNotFound
from dxmesh_runtime.db import locked


class Taxonomy(Base):
    """A base database, domain warehouse or theme database; one that was used is retired and never deleted."""

    __tablename__ = "taxonomy"
    __table_args__ = (
        Index("taxonomy_name", "kind", "name_key", unique=True, postgresql_where=text("retired_at IS NULL")),
        Index("ix_taxonomy_parent_id", "parent_id"),
    )
    taxonomy_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    code: Mapped[str] = mapped_column(Text)
    code_key: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    lead_organization_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    parent_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("taxonomy.taxonomy_id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    retired_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    retired_by: Mapped[str | None] = mapped_column(Text)
    retirement_reason: Mapped[str | None] = mapped_column(Text)

    @property
    def entry(self) -> Entry:
        """Return it as rules see it."""
        return Entry(self.taxonomy_id, self.code, TaxonomyKind(self.kind), self.retired_at is not None)


async def lock_all(tx: AsyncSession) -> None:
    """Let one transaction at a time change taxonomies: codes, names and loops are looked at across all of them."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("catalog_svc.taxonomy", 0))))


async def get(tx: AsyncSession, taxonomy_id: UUID, *, lock: bool = False) -> Taxonomy:
    """Return an entry, locked against its use when asked. Raises: TaxonomyNotFound (404)."""
    query = select(Taxonomy).where(Taxonomy.taxonomy_id == taxonomy_id)
    row = await tx.scalar(locked(query) if lock else query)
    if row is None:
        raise TaxonomyNotFound(f"no entry of a taxonomy has the id {taxonomy_id}")
    return row


async def find_by_code(tx: AsyncSession, code_key: str) -> Taxonomy | None:
    """Return the entry of a code, a retired one too."""
    return await tx.scalar(select(Taxonomy).where(Taxonomy.code_key == code_key))


async def find_by_name(tx: AsyncSession, kind: TaxonomyKind, name_key: str) -> Taxonomy | None:
    """Return the entry in use of a name."""
    return await tx.scalar(
        select(Taxonomy).where(Taxonomy.kind == kind.value, Taxonomy.name_key == name_key, Taxonomy.retired_at.is_(None))
    )


async def keep(tx: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Taxonomy]:
    """Return those of these entries that exist; none of them is deleted before the transaction ends."""
    if not ids:
        return {}
    query = select(Taxonomy).where(Taxonomy.taxonomy_id.in_(ids)).order_by(Taxonomy.taxonomy_id)
    rows = await tx.scalars(locked(query, share=True, key_share=True))
    return {row.taxonomy_id: row for row in rows}


async def keep_codes(tx: AsyncSession, codes: Collection[str]) -> Sequence[Taxonomy]:
    """Return those of these entries, named without regard to case, that exist; none is retired or deleted before the transaction ends."""
    if not codes:
        return []
    query = select(Taxonomy).where(Taxonomy.code_key.in_({code_key(code) for code in codes})).order_by(Taxonomy.taxonomy_id)
    return (await tx.scalars(locked(query, share=True, key_share=True))).all()


async def above(tx: AsyncSession, taxonomy_id: UUID) -> list[Entry]:
    """Return an entry and all it stands under, nearest first; none when there is no such entry."""
    start = select(Taxonomy.taxonomy_id, Taxonomy.parent_id, literal(0, Integer).label("distance"))
    tree = start.where(Taxonomy.taxonomy_id == taxonomy_id).cte("above", recursive=True)
    upwards = select(Taxonomy.taxonomy_id, Taxonomy.parent_id, tree.c.distance + 1)
    tree = tree.union_all(upwards.join(tree, Taxonomy.taxonomy_id == tree.c.parent_id).where(tree.c.distance < MAX_DEPTH))
    query = select(Taxonomy).join(tree, tree.c.taxonomy_id == Taxonomy.taxonomy_id).order_by(tree.c.distance)
    return [row.entry for row in await tx.scalars(query)]


async def depth_below(tx: AsyncSession, taxonomy_id: UUID) -> int:
    """Return how many entries stand under each other below an entry."""
    start = select(Taxonomy.taxonomy_id, literal(0, Integer).label("distance")).where(Taxonomy.taxonomy_id == taxonomy_id)
    tree = start.cte("below", recursive=True)
    downwards = select(Taxonomy.taxonomy_id, tree.c.distance + 1).join(tree, Taxonomy.parent_id == tree.c.taxonomy_id)
    tree = tree.union_all(downwards.where(tree.c.distance < MAX_DEPTH))
    return await tx.scalar(select(func.max(tree.c.distance))) or 0


async def children(tx: AsyncSession, taxonomy_id: UUID, *, retired_too: bool) -> Sequence[Taxonomy]:
    """Return the entries directly under an entry."""
    query = select(Taxonomy).where(Taxonomy.parent_id == taxonomy_id).order_by(Taxonomy.code_key)
    return (await tx.scalars(query if retired_too else query.where(Taxonomy.retired_at.is_(None)))).all()


async def list_page(
    tx: AsyncSession,
    *,
    kind: TaxonomyKind | None,
    q: str | None,
    parent: UUID | None,
    lead: UUID | None,
    retired_too: bool,
    after: str | None,
    limit: int,
) -> Sequence[Taxonomy]:
    """Return up to limit + 1 entries by code."""
    query = select(Taxonomy).order_by(Taxonomy.code_key).limit(limit + 1)
    wanted: list[tuple[Any, Any]] = [
        (Taxonomy.kind, kind.value if kind is not None else None),
        (Taxonomy.parent_id, parent),
        (Taxonomy.lead_organization_id, lead),
    ]
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    if q:
        query = query.where(or_(Taxonomy.name.icontains(q, autoescape=True), Taxonomy.code.icontains(q, autoescape=True)))
    if not retired_too:
        query = query.where(Taxonomy.retired_at.is_(None))
    if after is not None:
        query = query.where(Taxonomy.code_key > after)
    return (await tx.scalars(query)).all()
