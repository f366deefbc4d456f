"""What changed of a grant's rows since a place, from the topic of its view; the place is the reader's own and is kept nowhere."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from dxmesh_runtime.paging import CursorInvalid
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.exchange import BatchKind, ViewSnapshot
from exchange_svc import sealed_cursor
from exchange_svc.api.errors import ChangesAway, ChangesGone
from exchange_svc.batch.store import Batch
from exchange_svc.grant.pull import Readable
from exchange_svc.subscription.domain import Place, Row
from exchange_svc.subscription.records import Reader, TopicAbsent, TopicShort

_POLL_MS = 300
_MAX_BYTES = 16 * 1024 * 1024
_PATIENCE_SECONDS = 10.0
_REMEDY = "read the rows anew and go on from the cursor in Changes-Cursor"
_DELIVERED = text("""
    SELECT (part ->> 0)::int AS partition, max((part ->> 2)::bigint) FILTER (WHERE sequence <= :sequence) + 1 AS behind,
           min((part ->> 1)::bigint) FILTER (WHERE sequence > :sequence) AS needed
    FROM delivery CROSS JOIN LATERAL jsonb_array_elements(ranges) part
    WHERE view_id = :view_id AND topic = :topic GROUP BY 1
""")


@dataclass(frozen=True, slots=True)
class Since:
    """Where changes are read from: offsets on a topic.

    sequence: batches up to it are passed over, for the rows that were read before hold them; None: the log is read as it is.
    """

    place: Place
    sequence: int | None


def cursor_of_table(key: bytes, readable: Readable) -> str | None:
    """Return the cursor of what comes after the rows of a table's version; None while nothing leaves."""
    return None if readable.view is None else _seal(key, readable, Since(Place(topic=readable.view.topic), readable.sequence))


def _seal(key: bytes, readable: Readable, since: Since) -> str:
    offsets = sorted(since.place.offsets.items())
    return sealed_cursor.seal(key, f"changes:{readable.grant_id}", since.place.topic, offsets, since.sequence)


def read_cursor(key: bytes, readable: Readable, cursor: str | None) -> Since | None:
    """Return where a cursor goes on, or the beginning of the log; None while nothing leaves.

    Raises: CursorInvalid (422); ChangesGone (410) when rows come by another topic now.
    """
    if readable.view is None:
        return None
    if cursor is None:
        return Since(Place(topic=readable.view.topic), None)
    place = sealed_cursor.unseal(key, f"changes:{readable.grant_id}", cursor)
    if len(place) != 3:
        raise CursorInvalid
    topic, offsets, sequence = place
    if topic != readable.view.topic:
        raise ChangesGone(f"the grant has other terms or its resource another version, so its rows come anew: {_REMEDY}")
    return Since(Place(topic=topic, offsets=dict(offsets)), sequence)


async def located(tx: AsyncSession, readable: Readable, since: Since) -> tuple[Since, Mapping[int, int]]:
    """Return where to read, and from which offsets on the log must still be whole.

    A place of the table's has no offsets yet: it is behind the deliveries that the table holds, as far as they are noted. What is
    read twice so is known by its batch's sequence and left out.
    """
    if since.place.offsets or not since.sequence or readable.view is None:
        return since, since.place.offsets
    asked = {"view_id": readable.view.view_id, "topic": since.place.topic, "sequence": since.sequence}
    found = (await tx.execute(_DELIVERED, asked)).all()
    offsets = {row.partition: row.behind for row in found if row.behind is not None}
    needed = {row.partition: row.needed for row in found if row.needed is not None}
    return Since(Place(topic=since.place.topic, offsets=offsets), since.sequence), needed


async def read(kafka: KafkaSettings, since: Since, needed: Mapping[int, int], *, limit: int) -> tuple[list[Row], Since, bool]:
    """Return the next changes, at most `limit`, where they end, and whether that is the end of the log as it is now.

    Only what is committed is read, each partition in its order: changes of one key are in the order in which they happened.
    Raises: ChangesGone (410) when the log begins behind the place; ChangesAway (503).
    """
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS), Reader(kafka, since.place.topic, max_rows=limit, max_bytes=_MAX_BYTES) as reader:
            begun = await reader.begin(since.place, None)
            starts = await reader.starts()
            if any(offset < starts.get(partition, 0) for partition, offset in needed.items()):
                raise ChangesGone(f"the log of changes begins behind the cursor: {_REMEDY}")
            rows, place = await reader.next(begun, timeout_ms=_POLL_MS)
            while not rows and not await reader.drained():
                rows, place = await reader.next(begun, timeout_ms=_POLL_MS)
            if is_end := await reader.drained():
                place = Place(topic=place.topic, offsets=await reader.positions())
            return rows, Since(place, since.sequence), is_end
    except TopicAbsent:
        return [], since, True
    except TopicShort as short:
        raise ChangesGone(f"the log of changes was made anew and is shorter than the cursor says: {_REMEDY}") from short
    except (KafkaError, OSError, TimeoutError) as away:
        raise ChangesAway("the broker cannot be reached; ask again with the same cursor", retry_after_seconds=2) from away


async def known(tx: AsyncSession, rows: Sequence[Row]) -> Mapping[str, tuple[int, str]]:
    """Return the sequence and kind of the batches that rows are of."""
    batches = {row.batch for row in rows}
    found = await tx.execute(select(Batch.batch_id, Batch.sequence, Batch.kind).where(Batch.batch_id.in_(batches)))
    return {str(row.batch_id): (row.sequence or 0, row.kind) for row in found}


def told(rows: Sequence[Row], batches: Mapping[str, tuple[int, str]], view: ViewSnapshot, *, behind: int) -> list[dict[str, Any]]:
    """Return changes as they are told, those of batches up to `behind` left out.

    Raises: ChangesGone (410) at a snapshot where records have no keys: only the table knows what went.
    """
    new = [row for row in rows if row.batch not in batches or batches[row.batch][0] > behind]
    if not view.key and any(batches.get(row.batch, (0, ""))[1] == BatchKind.SNAPSHOT and batches[row.batch][0] > 1 for row in new):
        raise ChangesGone(f"the resource was replaced as a whole; {_REMEDY}, and wait a few seconds if that says the same")
    return changes_of(new)


def changes_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return records of a view's topic as changes; `value` is the record's own bytes, since a parsed number may lose digits."""
    return [
        {
            "op": "delete" if row.value is None else "upsert",
            "key": row.key,
            "batch_id": row.batch,
            "row": row.number,
            "value": row.value,
        }
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of changes. behind: where it ends, None while nothing leaves; is_end: nothing more was there then."""

    items: list[dict[str, Any]]
    next_cursor: str | None
    is_end: bool
    behind: Since | None

    def body(self) -> bytes:
        """Return the page as JSON."""
        items = b",".join(map(_change, self.items))
        told = json.dumps({"next_cursor": self.next_cursor, "is_end": self.is_end}).encode()
        return b'{"items":[' + items + b"]," + told[1:]


def _change(one: Mapping[str, Any]) -> bytes:
    head = json.dumps({**one, "value": None}, ensure_ascii=False).removesuffix("null}").encode()
    return head + (one["value"] or b"null") + b"}"


async def page(
    sessions: async_sessionmaker[AsyncSession], kafka: KafkaSettings, key: bytes, readable: Readable, *, cursor: str | None, limit: int
) -> Changes:
    """Return the changes behind a cursor, at most `limit`. Raises: see `read_cursor`, `read`, `told`."""
    since = read_cursor(key, readable, cursor)
    if since is None or readable.view is None:
        return Changes([], cursor, True, None)
    async with sessions() as tx:
        since, needed = await located(tx, readable, since)
    rows, place, is_end = await read(kafka, since, needed, limit=limit)
    following = _seal(key, readable, place)
    if since.sequence is None:
        return Changes(changes_of(rows), following, is_end, place)
    async with sessions() as tx:
        batches = await known(tx, rows)
    return Changes(told(rows, batches, readable.view, behind=since.sequence), following, is_end, place)
