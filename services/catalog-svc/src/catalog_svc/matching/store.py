"""The index of published items by the names they are compared by, and the node's own synonyms, in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Text,
    Uuid,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.matching.domain import Element, Name
from catalog_svc.organization.store import Organization
from catalog_svc.rows import Base

MOST_CANDIDATES = 20
"""How many like names an item is compared with, besides those of its own key and kin."""
_BETWEEN = "\x1f"
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class ItemName(Base):
    """A name items go by."""

    __tablename__ = "item_name"
    __table_args__ = (Index("item_name_head", "head", "key_length"),)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    head: Mapped[str] = mapped_column(Text)
    key_length: Mapped[int] = mapped_column(Integer)


class ItemToken(Base):
    """What a name is found by: an inverted index of its bigrams that needs no extension of PostgreSQL."""

    __tablename__ = "item_token"
    token: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)


class ItemEntry(Base):
    """An item of a resource in force, as items are compared."""

    __tablename__ = "item_entry"
    __table_args__ = (
        Index("ix_item_entry_key", "key"),
        Index("ix_item_entry_organization_id", "organization_id"),
        Index(
            "item_entry_collected",
            "division_code",
            "key",
            "kind",
            "organization_id",
            postgresql_where=text("NOT is_vague AND NOT is_reference"),
        ),
    )
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"), primary_key=True)
    item: Mapped[str] = mapped_column(Text, primary_key=True)
    resource_version: Mapped[int] = mapped_column(Integer)
    organization_id: Mapped[UUID] = mapped_column(Uuid)  # the resource's own reference to it is checked once, not for every item
    division_code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    plain: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    head: Mapped[str] = mapped_column(Text)
    unit: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    format: Mapped[str | None] = mapped_column(Text)
    code_set: Mapped[str | None] = mapped_column(Text)
    length: Mapped[int | None] = mapped_column(Integer)
    sharing_type: Mapped[str] = mapped_column(Text)
    is_reference: Mapped[bool] = mapped_column(Boolean)  # its values are those of another resource: nothing is collected
    is_vague: Mapped[bool] = mapped_column(Boolean)  # technical, or it does not say whose: tells nothing of repeat collection

    def element(self, subject: str | None = None) -> Element:
        """Return the item as it is compared; `subject` is the name of its resource."""
        name = Name(self.plain, self.key, self.head, self.key[: len(self.key) - len(self.head)], self.unit)
        return Element(name, self.kind, self.format, self.code_set, self.length, subject)


class Synonym(Base):
    """A term of this node and what it means; a term that means itself takes a shipped synonym out."""

    __tablename__ = "synonym"
    term: Mapped[str] = mapped_column(Text, primary_key=True)
    concept: Mapped[str] = mapped_column(Text)
    entered_by: Mapped[str] = mapped_column(Text)
    entered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


_KNOWN_NAMES = text("SELECT key FROM item_name WHERE key = ANY (CAST(:keys AS text[]))")
_ADD_NAMES = text(
    "INSERT INTO item_name (key, head, key_length) "
    "SELECT key, head, length(key) FROM unnest(CAST(:keys AS text[]), CAST(:heads AS text[])) AS n (key, head) ON CONFLICT DO NOTHING"
)
_ADD_TOKENS = text(
    "INSERT INTO item_token (token, key) "
    "SELECT * FROM unnest(CAST(:tokens AS text[]), CAST(:keys AS text[])) AS n (token, key) ON CONFLICT DO NOTHING"
)


async def add_names(tx: AsyncSession, names: Collection[Name]) -> None:
    """Enter names; known ones stay, also those a transaction enters meanwhile."""
    found = {name.key: name for name in names}
    if not found:
        return
    known = set(await tx.scalars(_KNOWN_NAMES, {"keys": list(found)}))
    # in one order: two transactions that enter the same names never wait for each other
    new = sorted(found.keys() - known)
    if not new:
        return
    tokens = sorted((token, key) for key in new for token in found[key].tokens)
    await tx.execute(_ADD_NAMES, {"keys": new, "heads": [found[key].head for key in new]})
    await tx.execute(_ADD_TOKENS, {"tokens": [token for token, _ in tokens], "keys": [key for _, key in tokens]})


async def newest_versions(tx: AsyncSession, resource_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the version the index has of each of these resources; those it has not are left out."""
    query = select(ItemEntry.resource_id, func.max(ItemEntry.resource_version)).where(ItemEntry.resource_id.in_(resource_ids))
    return dict((await tx.execute(query.group_by(ItemEntry.resource_id))).all())


_ENTRY_COLUMNS = ItemEntry.__table__.columns
_ADD_ENTRIES = text(
    f"INSERT INTO item_entry ({', '.join(column.name for column in _ENTRY_COLUMNS)}) "
    f"SELECT * FROM unnest({', '.join(f'CAST(:{column.name} AS {column.type.compile(_DIALECT)}[])' for column in _ENTRY_COLUMNS)})"
)


async def put_entries(tx: AsyncSession, resource_ids: Collection[UUID], entries: Sequence[dict[str, Any]]) -> None:
    """Put items of these resources in the place of all those they had, with one statement: a column is an array."""
    await remove_entries(tx, resource_ids)
    if entries:
        await tx.execute(_ADD_ENTRIES, {column.name: [entry[column.name] for entry in entries] for column in _ENTRY_COLUMNS})


async def remove_entries(tx: AsyncSession, resource_ids: Collection[UUID]) -> None:
    """Take the items of these resources out."""
    await tx.execute(delete(ItemEntry).where(ItemEntry.resource_id.in_(resource_ids)))


async def divisions_of(tx: AsyncSession, organization_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return where these organizations are now."""
    query = select(Organization.organization_id, Organization.division_code)
    return dict((await tx.execute(query.where(Organization.organization_id.in_(organization_ids)))).all())


async def move_organization(tx: AsyncSession, organization_id: UUID) -> None:
    """Bring an organization's items to the division it is in now."""
    here = select(Organization.division_code).where(Organization.organization_id == organization_id).scalar_subquery()
    moved = (ItemEntry.organization_id == organization_id) & (ItemEntry.division_code != here)
    await tx.execute(update(ItemEntry).where(moved).values(division_code=here))


async def get_entry(tx: AsyncSession, resource_id: UUID, item: str) -> ItemEntry | None:
    """Return an indexed item, if there is one."""
    return await tx.get(ItemEntry, (resource_id, item))


async def entries_saying(tx: AsyncSession, terms: Collection[str]) -> Sequence[ItemEntry]:
    """Return the items in whose names one of the terms stands."""
    if not terms:
        return []
    # the key too: a term may stand in it only once the name's ending has been brought to a representation term
    columns = (ItemEntry.plain, ItemEntry.key)
    said = or_(*(column.contains(term, autoescape=True) for term in terms for column in columns))
    return (await tx.scalars(select(ItemEntry).where(said))).all()


_REKEY = text(
    """
    UPDATE item_entry e SET key = n.key, head = n.head, is_vague = n.is_vague
    FROM unnest(CAST(:resources AS uuid[]), CAST(:items AS text[]), CAST(:keys AS text[]), CAST(:heads AS text[]),
                CAST(:vague AS boolean[])) AS n (resource_id, item, key, head, is_vague)
    WHERE e.resource_id = n.resource_id AND e.item = n.item
    """
)


async def all_entries(tx: AsyncSession) -> Sequence[ItemEntry]:
    """Return every indexed item."""
    return (await tx.scalars(select(ItemEntry))).all()


async def rekey(tx: AsyncSession, renamed: Sequence[tuple[ItemEntry, Name, bool]]) -> None:
    """Give entries the keys of their new names, and say whether those are vague."""
    values = {
        "resources": [entry.resource_id for entry, _, _ in renamed],
        "items": [entry.item for entry, _, _ in renamed],
        "keys": [name.key for _, name, _ in renamed],
        "heads": [name.head for _, name, _ in renamed],
        "vague": [is_vague for _, _, is_vague in renamed],
    }
    await tx.execute(_REKEY, values)


_CANDIDATES = text(
    f"""
    SELECT q.number, c.key, c.head
    FROM unnest(CAST(:numbers AS int[]), CAST(:keys AS text[]), CAST(:heads AS text[]), CAST(:kins AS text[]), CAST(:tokens AS text[]))
         AS q (number, key, head, kin, tokens),
    LATERAL (
        SELECT n.key, n.head FROM item_name n WHERE n.key = q.key OR n.key = ANY (string_to_array(q.kin, :between))
        UNION
        (SELECT n.key, n.head FROM item_name n WHERE n.head = q.key ORDER BY n.key_length, n.key LIMIT 5)
        UNION
        SELECT n.key, n.head
        FROM (SELECT t.key FROM item_token t WHERE t.token = ANY (string_to_array(q.tokens, :between))
              GROUP BY t.key ORDER BY count(*) DESC, length(t.key), t.key LIMIT {MOST_CANDIDATES}) AS s
        JOIN item_name n ON n.key = s.key
    ) c
    """
)


async def like_names(tx: AsyncSession, names: Sequence[Name]) -> list[list[tuple[str, str]]]:
    """Return for each name the keys and heads of indexed names that may be the same, its own first."""
    found: list[list[tuple[str, str]]] = [[] for _ in names]
    values = {
        "numbers": list(range(len(names))),
        "keys": [name.key for name in names],
        "heads": [name.head for name in names],
        "kins": [_BETWEEN.join(name.kin) for name in names],
        "tokens": [_BETWEEN.join(name.tokens) for name in names],
        "between": _BETWEEN,
    }
    for number, key, head in await tx.execute(_CANDIDATES, values):
        found[number].append((key, head))
    return found


async def entries_of_keys(tx: AsyncSession, keys: Collection[str], *, most: int, first: Any) -> Sequence[ItemEntry]:
    """Return up to `most` items of each key, those for which `first` holds before the others."""
    if not keys:
        return []
    place = func.row_number().over(partition_by=ItemEntry.key, order_by=(first.desc(), ItemEntry.resource_id, ItemEntry.item))
    ranked = select(ItemEntry.resource_id, ItemEntry.item, place.label("place")).where(ItemEntry.key.in_(keys)).subquery()
    query = (
        select(ItemEntry)
        .join(ranked, (ranked.c.resource_id == ItemEntry.resource_id) & (ranked.c.item == ItemEntry.item))
        .where(ranked.c.place <= most)
        .order_by(ItemEntry.key, ranked.c.place)
    )
    return (await tx.scalars(query)).all()


async def own_synonyms(tx: AsyncSession) -> dict[str, str]:
    """Return the node's own synonyms: term → what it means."""
    return dict((await tx.execute(select(Synonym.term, Synonym.concept))).all())


_WHOLE = func.hashtextextended("catalog_svc.matching.index", 0)
_LOCK_RESOURCES = text(
    """
    SELECT pg_advisory_xact_lock(key)
    FROM (SELECT DISTINCT hashtextextended('catalog_svc.matching.resource ' || id, 0) AS key
          FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY 1) AS keys
    """
)


async def lock_whole(tx: AsyncSession) -> None:
    """Let one transaction alone change the index as a whole: its words, its divisions, which names it has."""
    await tx.execute(select(func.pg_advisory_xact_lock(_WHOLE)))


async def lock_resources(tx: AsyncSession, resource_ids: Collection[UUID]) -> None:
    """Let one transaction at a time index these resources, and none while the index changes as a whole.

    The keys are locked in one order, before any division and any resource, so that two that index the same never wait for each other.
    """
    await tx.execute(select(func.pg_advisory_xact_lock_shared(_WHOLE)))
    await tx.execute(_LOCK_RESOURCES, {"ids": list(resource_ids)})


_UNUSED = text("SELECT key FROM item_name n WHERE NOT EXISTS (SELECT FROM item_entry e WHERE e.key = n.key) LIMIT :most")


async def unused_names(tx: AsyncSession, *, most: int) -> Sequence[str]:
    """Return names that no item has."""
    return (await tx.scalars(_UNUSED, {"most": most})).all()


async def remove_names(tx: AsyncSession, keys: Collection[str]) -> None:
    """Take names out, and what they are found by."""
    await tx.execute(delete(ItemToken).where(ItemToken.key.in_(keys)))
    await tx.execute(delete(ItemName).where(ItemName.key.in_(keys)))


async def find_synonym(tx: AsyncSession, term: str) -> Synonym | None:
    """Return a synonym of the node, its row locked."""
    return await tx.get(Synonym, term, with_for_update=True, populate_existing=True)


async def list_synonyms(tx: AsyncSession, *, q: str | None, after: str | None, limit: int) -> Sequence[Synonym]:
    """Return up to limit + 1 synonyms of the node by term."""
    query = select(Synonym).order_by(Synonym.term).limit(limit + 1)
    if q:
        query = query.where(or_(Synonym.term.icontains(q, autoescape=True), Synonym.concept.icontains(q, autoescape=True)))
    return (await tx.scalars(query if after is None else query.where(Synonym.term > after))).all()
