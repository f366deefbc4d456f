"""Forms and what of them the catalogue has, in PostgreSQL; and what departments collect more than once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Column,
    DateTime,
    ForeignKey,
    FromClause,
    Integer,
    Row,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    exists,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, defer, mapped_column
from sqlalchemy.types import TypeEngine

from catalog_svc.claim.domain import ClaimState
from catalog_svc.claim.store import SourceClaim
from catalog_svc.form.errors import FormNotFound
from catalog_svc.matching import store as items
from catalog_svc.matching.store import ItemEntry
from catalog_svc.organization.store import Organization
from catalog_svc.resource.store import WITHOUT_ENTRIES, Resource
from catalog_svc.rows import Base


class Form(Base):
    """A form a department means to hand out, and what the catalogue has of it."""

    __tablename__ = "form"
    __table_args__ = (UniqueConstraint("organization_id", "name_key"),)
    form_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text)
    items: Mapped[list[Any]] = mapped_column(JSONB)  # as they were sent
    findings: Mapped[list[Any]] = mapped_column(JSONB)  # one for each item, in their order
    held_count: Mapped[int] = mapped_column(Integer)
    withheld_count: Mapped[int] = mapped_column(Integer)
    doubtful_count: Mapped[int] = mapped_column(Integer)
    new_count: Mapped[int] = mapped_column(Integer)
    entered_by: Mapped[str] = mapped_column(Text)
    entered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    matched_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class Catalogued:
    """An item of the catalogue with whose it is."""

    entry: ItemEntry
    organization: Organization
    resource: Resource
    claim_id: UUID | None  # the claim by which it is its division's source

    @property
    def sharing_type(self) -> str:
        """Return how the item is shared."""
        return self.entry.sharing_type


async def get(tx: AsyncSession, form_id: UUID, *, of: UUID | None, lock: bool = False) -> Form:
    """Return a form, of one organization when `of` is given. Raises: FormNotFound (404)."""
    row = await tx.get(Form, form_id, with_for_update=lock, populate_existing=lock)
    if row is None or (of is not None and row.organization_id != of):
        raise FormNotFound(f"no form you may see has the id {form_id}")
    return row


async def find_by_name(tx: AsyncSession, organization_id: UUID, name_key: str) -> Form | None:
    """Return an organization's form of that name."""
    return await tx.scalar(select(Form).where(Form.organization_id == organization_id, Form.name_key == name_key))


async def list_page(tx: AsyncSession, *, of: UUID | None, after: UUID | None, limit: int) -> Sequence[Form]:
    """Return up to limit + 1 forms as they were entered, without their items and findings."""
    whole = (defer(Form.items, raiseload=True), defer(Form.findings, raiseload=True))
    query = select(Form).options(*whole).order_by(Form.form_id).limit(limit + 1)
    if of is not None:
        query = query.where(Form.organization_id == of)
    return (await tx.scalars(query if after is None else query.where(Form.form_id > after))).all()


def _held_by(claim: Any) -> Any:
    return and_(claim.resource_id == ItemEntry.resource_id, claim.item == ItemEntry.item, claim.state == ClaimState.HELD.value)


def _rows(places: Collection[tuple[Any, ...]], **kinds: TypeEngine[Any]) -> FromClause:
    """Return rows given as an array a column: PostgreSQL reads a list of thousands of rows deeper than its stack goes."""
    arrays = [literal(list(column), ARRAY(kind)) for column, kind in zip(zip(*places, strict=True), kinds.values(), strict=True)]
    return func.unnest(*arrays).table_valued(*(Column(name, kind) for name, kind in kinds.items()), name="asked").render_derived()


async def catalogued(tx: AsyncSession, keys: Collection[str], *, most: int) -> dict[str, list[Catalogued]]:
    """Return up to `most` items of resources in force for each key, sources first."""
    is_source = exists().where(_held_by(SourceClaim))
    entries = await items.entries_of_keys(tx, keys, most=most, first=is_source)
    places = [(entry.resource_id, entry.item) for entry in entries]
    if not places:
        return {}
    asked = _rows(places, resource_id=Uuid(), item=Text())
    query = (
        select(ItemEntry, Organization, Resource, SourceClaim.claim_id)
        .options(*WITHOUT_ENTRIES)
        .join(asked, and_(asked.c.resource_id == ItemEntry.resource_id, asked.c.item == ItemEntry.item))
        .join(Organization, Organization.organization_id == ItemEntry.organization_id)
        .join(Resource, Resource.resource_id == ItemEntry.resource_id)
        .outerjoin(SourceClaim, _held_by(SourceClaim))
        .where(Resource.withdrawn_at.is_(None))
    )
    rows = {(row[0].resource_id, row[0].item): Catalogued(*row) for row in await tx.execute(query)}
    found: dict[str, list[Catalogued]] = {}
    for place, entry in zip(places, entries, strict=True):
        if place in rows:
            found.setdefault(entry.key, []).append(rows[place])
    return found


async def collected_twice(
    tx: AsyncSession, *, division: str | None, after: tuple[str, str, str] | None, limit: int
) -> Sequence[Row[str, str, str, int, int]]:
    """Return up to limit + 1 data elements that several organizations of a division collect: division, key, kind, counts.

    Counted are organizations and items; items that repeat another resource's values, and names that do not say whose they are,
    tell of no collection.
    """
    entry = ItemEntry
    place = (entry.division_code, entry.key, entry.kind)
    query = (
        select(*place, func.count(func.distinct(entry.organization_id)), func.count())
        .where(~entry.is_vague, ~entry.is_reference)
        .group_by(*place)
        .having(func.count(func.distinct(entry.organization_id)) > 1)
        .order_by(*place)
        .limit(limit + 1)
    )
    if division is not None:
        query = query.where(entry.division_code == division)
    if after is not None:
        query = query.where(tuple_(*place) > after)
    return (await tx.execute(query)).all()


async def collectors(tx: AsyncSession, places: Collection[tuple[str, str, str]], *, most: int) -> Sequence[Row[Any]]:
    """Return up to `most` items of each (division, key, kind), sources first, with whose they are."""
    if not places:
        return []
    entry = ItemEntry
    place = (entry.division_code, entry.key, entry.kind)
    is_source = SourceClaim.claim_id.is_not(None)
    order = (is_source.desc(), entry.organization_id, entry.resource_id, entry.item)
    asked = _rows(set(places), division_code=Text(), key=Text(), kind=Text())
    ranked = (
        select(
            *(*place, entry.organization_id, entry.resource_id, entry.item, entry.sharing_type),
            entry.name.label("item_name"),
            is_source.label("is_source"),
            func.row_number().over(partition_by=place, order_by=order).label("rank"),
        )
        .join(asked, and_(*(getattr(entry, column.name) == column for column in asked.c)))
        .outerjoin(SourceClaim, _held_by(SourceClaim))
        .where(~entry.is_vague, ~entry.is_reference)
        .subquery()
    )
    names = (Organization.name.label("organization_name"), Resource.resource_code, Resource.name.label("resource_name"))
    query = (
        select(ranked, *names)
        .join(Organization, Organization.organization_id == ranked.c.organization_id)
        .join(Resource, Resource.resource_id == ranked.c.resource_id)
        .where(ranked.c.rank <= most, Resource.withdrawn_at.is_(None))
        .order_by(ranked.c.division_code, ranked.c.key, ranked.c.kind, ranked.c.rank)
    )
    return (await tx.execute(query)).all()
