"""From the units of a transaction to record batches for the broker, a little ahead of what is sent; runs in a thread, sees no network."""

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

import polars as pl

from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.problem import Problem
from dxmesh_tabular.items import ROW
from dxmesh_tabular.store import ObjectStore
from exchange_svc.delivery import record_batch, row_batch
from exchange_svc.delivery.coming import bring
from exchange_svc.delivery.domain import Digest, Unit
from exchange_svc.delivery.errors import RecordTooLarge
from exchange_svc.delivery.leaving import is_followed, leaving, vanishing
from exchange_svc.delivery.members import Changes, Following
from exchange_svc.delivery.projection import CHUNK_BYTES, CHUNK_ROWS, chunks, deletes, opened, pieces
from exchange_svc.delivery.record_batch import BATCH_BYTES, MAX_RECORD_BYTES, Piece
from exchange_svc.enforcement.rows import TokenKeys

_T = TypeVar("_T")
_R = TypeVar("_R")
_FLUSH_BYTES = BATCH_BYTES // 4  # what has gathered for a partition leaves from here on; well below the limit, so no tiny batch is cut off
_INLINE_BYTES = 64 << 10  # what is smaller is not worth another thread
_FEW_ROWS = 256  # below, making records one by one costs less than setting columns up


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads that work on several partitions at once: polars, pyarrow, zstd and SHA-256 let go of the interpreter."""
    return ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 4), thread_name_prefix="delivery")


def _each(work: Callable[[_T], _R], items: Sequence[_T], size: float) -> Iterable[_R]:
    return map(work, items) if size < _INLINE_BYTES or len(items) < 2 else _threads().map(work, items)


@dataclass
class Tally:
    """What was made of one unit: rows and digest, what was withheld, and where its records lie once they are sent."""

    unit: Unit
    row_count: int = 0
    withheld_count: int = 0
    misfits: dict[str, int] = field(default_factory=dict)
    filtered_count: int = 0
    vanished_count: int = 0
    digest: Digest = field(default_factory=Digest)
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Say whether none of the batch's rows was withheld: only then is a key that it has not one that is gone."""
        return not self.withheld_count

    def withhold(self, count: int, misfits: Mapping[str, int]) -> None:
        """Note rows that do not fit the view's version, and by which items they do not."""
        self.withheld_count += count
        for item, rows in misfits.items():
            self.misfits[item] = self.misfits.get(item, 0) + rows

    def place(self, partition: int, first: int, count: int) -> None:
        """Note records that lie at these offsets of a partition."""
        known = self.offsets.get(partition, (first, first))
        self.offsets[partition] = (min(known[0], first), max(known[1], first + count - 1))


class WrongDispatch(Exception):
    """A dispatch can never be delivered; part of its rows may have been sent, so the transaction is given up."""

    def __init__(self, unit: Unit, cause: Problem) -> None:
        super().__init__(f"batch {unit.dispatch.batch_id} cannot be delivered to view {unit.view.view_id}: {cause}")
        self.event_id = unit.meta.event_id
        self.cause = cause


@dataclass(frozen=True)
class Parcel:
    """A record batch for one partition of a topic; parts: how many of its records belong to which unit, in order."""

    topic: str
    partition: int
    builder: Any
    parts: tuple[tuple[Tally, int], ...]


def parcels(
    store: ObjectStore, tallies: Sequence[Tally], partitions: Mapping[str, int], keys: TokenKeys, changes: Changes, *, columnar: bool
) -> Generator[Parcel]:
    """Make the record batches of the tallies' units, in order, and count them there; what they change of memberships is durable then.

    keys: of grants' pseudonyms.
    Raises: RowsMissing, RowsDamaged (503), WrongDispatch.
    """
    waiting: dict[tuple[str, int], list[tuple[Piece, list[tuple[Tally, int]]]]] = {}
    sizes: dict[tuple[str, int], int] = {}

    def take(owners: Sequence[Tally], found: tuple[int, Piece, list[int]]) -> None:
        partition, piece, counts = found
        place = (owners[0].unit.view.topic, partition)
        start = 0
        for tally, count in zip(owners, counts, strict=True):
            if count:
                tally.digest.update(partition, piece.frame_bytes(start, count))
                start += count
        waiting.setdefault(place, []).append((piece, list(zip(owners, counts, strict=True))))
        sizes[place] = sizes.get(place, 0) + len(piece.frame_bytes())

    def packed(place: tuple[str, int]) -> list[Parcel]:
        todo = waiting.pop(place)
        many = sum(len(piece) for piece, _ in todo) >= _FEW_ROWS
        pack = record_batch.pack if columnar and many else row_batch.pack
        builders = pack([piece for piece, _ in todo], now_ms=time.time_ns() // 1_000_000, transactional=True)
        owners = _owners([part for _, parts in todo for part in parts])
        return [Parcel(*place, builder, tuple(owners(builder.record_count()))) for builder in builders]

    def flush(least: int) -> Iterator[Parcel]:
        places = [place for place, size in sizes.items() if size >= least]
        size = sum(sizes.pop(place) for place in places)
        for made in _each(packed, places, size):
            yield from made

    for frame, parts in _frames(store, tallies, keys, changes):
        owners = [tally for tally, _ in parts]
        topic = owners[0].unit.view.topic
        found = list(pieces(frame, [(tally.unit, count) for tally, count in parts], partitions[topic]))
        for _, piece, counts in found:
            _check_size(piece, owners, counts)
        list(_each(partial(take, owners), found, frame.estimated_size()))
        yield from flush(_FLUSH_BYTES)
    yield from flush(0)
    changes.seal()


def _frames(
    store: ObjectStore, tallies: Sequence[Tally], keys: TokenKeys, changes: Changes
) -> Iterator[tuple[pl.DataFrame, list[tuple[Tally, int]]]]:
    """Yield what leaves with those it belongs to, so much to each; few rows of following units of one view come as one frame."""
    gathered: list[tuple[pl.DataFrame, Tally]] = []

    def together() -> Iterator[tuple[pl.DataFrame, list[tuple[Tally, int]]]]:
        if not gathered:
            return
        unit = gathered[-1][1].unit
        rows = pl.concat([frame for frame, _ in gathered])
        before = [len(frame) for frame, _ in gathered]
        shown, counts = leaving(rows, unit, before, keys, _following(unit, changes))
        parts = [(tally, count) for (_, tally), count in zip(gathered, counts, strict=True)]
        for (tally, count), of in zip(parts, before, strict=True):
            tally.row_count += count
            tally.filtered_count += of - count
        gathered.clear()
        if len(shown):
            yield shown, parts

    for tally in tallies:
        unit = tally.unit
        last_row = 0
        for frame in _fitting(store, tally):
            full = len(frame) + sum(len(one) for one, _ in gathered) > CHUNK_ROWS or (
                frame.estimated_size() + sum(one.estimated_size() for one, _ in gathered) > CHUNK_BYTES
            )
            if gathered and (full or not _alike(gathered[0], (frame, tally))):
                yield from together()
            gathered.append((frame, tally))
            last_row = frame[ROW][-1]
        if unit.dispatch.kind is BatchKind.SNAPSHOT and (following := _following(unit, changes)) is not None:
            yield from together()
            for gone in vanishing(following, last_row=last_row, is_whole=tally.is_whole):
                tally.vanished_count += len(gone)
                yield gone, [(tally, len(gone))]
    yield from together()


def _following(unit: Unit, changes: Changes) -> Following | None:
    """Return what says which keys the readers of a unit's view have, where that matters to what leaves of the unit."""
    if is_followed(unit):
        return changes.of(unit.view.view_id)
    return changes.before(unit.view.view_id) if unit.looks_back else None


def _fitting(store: ObjectStore, tally: Tally) -> Iterator[pl.DataFrame]:
    """Yield the rows of a unit in the view's version; those that cannot be brought into it are counted instead."""
    unit, view = tally.unit, tally.unit.view
    if not unit.dispatch.rows.row_count:
        return
    with opened(store, unit.dispatch.rows) as path:
        if not view.into:
            asked = [one.item for one in view.former_where or ()]
            yield from chunks(path, list(dict.fromkeys([*view.items, *view.key, *asked])))
            return
        for frame in chunks(path, view.items):
            fitting, misfits = bring(frame, unit)
            tally.withhold(len(frame) - len(fitting), misfits)
            if len(fitting):
                yield fitting


def _alike(one: tuple[pl.DataFrame, Tally], other: tuple[pl.DataFrame, Tally]) -> bool:
    """Say whether the rows of two units can be encoded together."""
    (frame, tally), (another, its) = one, other
    if tally.unit.view != its.unit.view or frame.schema != another.schema or deletes(tally.unit) != deletes(its.unit):
        return False
    return not is_followed(tally.unit) or tally.unit.dispatch.kind is its.unit.dispatch.kind


def _check_size(piece: Piece, owners: Sequence[Tally], counts: Sequence[int]) -> None:
    """Raise WrongDispatch (for the dispatch whose row it is) when a record is larger than the broker takes."""
    if piece.longest() <= MAX_RECORD_BYTES:
        return
    start = 0
    for tally, count in zip(owners, counts, strict=True):
        longest = piece.longest(start, count) if count else 0
        if longest > MAX_RECORD_BYTES:
            raise WrongDispatch(tally.unit, RecordTooLarge(f"a row has {longest} bytes, a record at most {MAX_RECORD_BYTES}"))
        start += count


def _owners(todo: Sequence[tuple[Tally, int]]) -> Callable[[int], Iterator[tuple[Tally, int]]]:
    """Return a function that says to whom the next so many records belong."""
    left = list(reversed(todo))

    def owners(count: int) -> Iterator[tuple[Tally, int]]:
        while count:
            tally, rows = left.pop()
            taken = min(rows, count)
            if taken < rows:
                left.append((tally, rows - taken))
            if taken:
                yield tally, taken
            count -= taken

    return owners
