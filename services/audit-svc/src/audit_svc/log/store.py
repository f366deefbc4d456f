"""Everything of the log that knows SQL: entries, tiles, the tree's head, and the count of each event type."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Row, bindparam, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from audit_svc.log import domain
from audit_svc.log.domain import Range, TileId
from audit_svc.log.errors import TreeCorrupt
from audit_svc.rows import Base
from dxmesh_runtime.db import locked


class Entry(Base):
    """One event: the leaf's bytes, and the payload as it travelled."""

    __tablename__ = "entry"
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    event_type: Mapped[str]
    topic: Mapped[str]
    entry: Mapped[bytes]
    payload: Mapped[bytes]
    logged_at: Mapped[datetime]


class Tile(Base):
    """Up to 256 hashes of 32 bytes; a partial tile grows in place."""

    __tablename__ = "tile"
    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hashes: Mapped[bytes]


class Tree(Base):
    """The head of the tree, in one row whose lock makes one appender at a time."""

    __tablename__ = "tree"
    tree_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int]
    root_hash: Mapped[bytes]
    signed_size: Mapped[int | None]
    signed_at: Mapped[datetime | None]
    published_size: Mapped[int | None]
    published_at: Mapped[datetime | None]


class EventType(Base):
    """How many entries an event type has."""

    __tablename__ = "event_type"
    event_type: Mapped[str] = mapped_column(primary_key=True)
    entry_count: Mapped[int]
    last_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry that waits for its place."""

    event_id: UUID
    event_type: str
    topic: str
    entry: bytes
    payload: bytes


async def get_tree(tx: AsyncSession, *, lock: bool = False) -> Tree:
    """Return the head as it is stored now. Raises: TreeCorrupt when there is none."""
    query = select(Tree).execution_options(populate_existing=True)
    tree = (await tx.scalars(locked(query) if lock else query)).one_or_none()
    if tree is None:
        raise TreeCorrupt("the row of the tree's head is missing")
    return tree


async def logged_events(tx: AsyncSession, event_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the events that have an entry already."""
    found = await tx.execute(text("SELECT event_id FROM entry WHERE event_id = ANY(CAST(:ids AS uuid[]))"), {"ids": list(event_ids)})
    return set(found.scalars())


_INSERT = text(
    'INSERT INTO entry ("index", event_id, event_type, topic, entry, payload, logged_at) '
    "SELECT :first + place - 1, event_id, event_type, topic, entry, payload, :now "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:topics AS text[]), CAST(:entries AS bytea[]), "
    "CAST(:payloads AS bytea[])) "
    "WITH ORDINALITY AS new(event_id, event_type, topic, entry, payload, place)"
).bindparams(bindparam("first", type_=BigInteger))


async def add_entries(tx: AsyncSession, first: int, entries: Sequence[NewEntry], *, now: datetime) -> None:
    """Write entries at `first` and behind it with one statement, and count them by type."""
    await tx.execute(
        _INSERT,
        {
            "first": first,
            "now": now,
            "ids": [entry.event_id for entry in entries],
            "types": [entry.event_type for entry in entries],
            "topics": [entry.topic for entry in entries],
            "entries": [entry.entry for entry in entries],
            "payloads": [entry.payload for entry in entries],
        },
    )
    statement = upsert(EventType)
    statement = statement.on_conflict_do_update(
        index_elements=[EventType.event_type],
        set_={"entry_count": EventType.entry_count + statement.excluded.entry_count, "last_at": statement.excluded.last_at},
    )
    counts = Counter(entry.event_type for entry in entries)
    await tx.execute(statement, [{"event_type": name, "entry_count": count, "last_at": now} for name, count in sorted(counts.items())])


async def load_tiles(tx: AsyncSession, wanted: Collection[TileId]) -> dict[TileId, bytes]:
    """Return those of the tiles that are stored."""
    if not wanted:
        return {}
    found = await tx.execute(select(Tile.level, Tile.number, Tile.hashes).where(tuple_(Tile.level, Tile.number).in_(wanted)))
    return {TileId(level, number): hashes for level, number, hashes in found}


async def hashes_of(tx: AsyncSession, ranges: Sequence[Range]) -> list[bytes]:
    """Return the hash of each range of leaves, from the stored tiles. Raises: TreeCorrupt."""
    return domain.hashes_of(ranges, await load_tiles(tx, domain.tiles_for(ranges)))


_STORE_TILES = text(
    "INSERT INTO tile (level, number, hashes) "
    "SELECT * FROM unnest(CAST(:levels AS bigint[]), CAST(:numbers AS bigint[]), CAST(:rows AS bytea[])) "
    "ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes"
).bindparams(bindparam("levels", type_=ARRAY(BigInteger)), bindparam("numbers", type_=ARRAY(BigInteger)))


async def store_tiles(tx: AsyncSession, tiles: Mapping[TileId, bytes]) -> None:
    """Write new and grown tiles."""
    await tx.execute(
        _STORE_TILES,
        {"levels": [tile.level for tile in tiles], "numbers": [tile.number for tile in tiles], "rows": list(tiles.values())},
    )


async def set_head(tx: AsyncSession, size: int, root_hash: bytes) -> None:
    """Move the head on."""
    await tx.execute(update(Tree).values(size=size, root_hash=root_hash))


async def find_entry(tx: AsyncSession, index: int) -> Entry | None:
    """Return the entry at an index."""
    return await tx.get(Entry, index)


async def find_entry_of(tx: AsyncSession, event_id: UUID) -> Entry | None:
    """Return the entry of an event."""
    return (await tx.scalars(select(Entry).where(Entry.event_id == event_id))).one_or_none()


async def list_leaves(tx: AsyncSession, first: int, end: int) -> Sequence[bytes]:
    """Return the leaves' bytes from `first` to before `end`, in order; fewer when entries are missing."""
    return (await tx.scalars(select(Entry.entry).where(Entry.index >= first, Entry.index < end).order_by(Entry.index))).all()


async def list_entries(tx: AsyncSession, first: int, end: int) -> Sequence[Row[int, bytes, bytes]]:
    """Return (index, leaf, payload) from `first` to before `end`, in order."""
    query = select(Entry.index, Entry.entry, Entry.payload).where(Entry.index >= first, Entry.index < end).order_by(Entry.index)
    return (await tx.execute(query)).all()


async def list_newest(tx: AsyncSession, count: int) -> Sequence[Row[int, UUID, str, str, datetime]]:
    """Return (place, event_id, event_type, topic, logged_at) of the newest entries, the newest first."""
    place = Entry.index.label("place")  # a row's `index` is a method
    query = select(place, Entry.event_id, Entry.event_type, Entry.topic, Entry.logged_at).order_by(place.desc()).limit(count)
    return (await tx.execute(query)).all()


async def list_event_types(tx: AsyncSession) -> Sequence[EventType]:
    """Return every event type seen, the most frequent first."""
    return (await tx.scalars(select(EventType).order_by(EventType.entry_count.desc(), EventType.event_type))).all()
