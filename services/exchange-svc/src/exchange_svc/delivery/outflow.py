"""From the units of a transaction to record batches for the broker, a little ahead of what is sent; runs in a thread, sees no network."""

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from dxmesh_schemas.problem import Problem
from dxmesh_tabular.store import ObjectStore
from exchange_svc.delivery import record_batch, row_batch
from exchange_svc.delivery.domain import Digest, Unit
from exchange_svc.delivery.errors import RecordTooLarge
from exchange_svc.delivery.projection import chunks, opened, pieces
from exchange_svc.delivery.record_batch import BATCH_BYTES, MAX_RECORD_BYTES, Piece

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
    """What was made of one unit: rows and digest, and where its records lie once they are sent."""

    unit: Unit
    row_count: int = 0
    digest: Digest = field(default_factory=Digest)
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)

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


def parcels(store: ObjectStore, tallies: Sequence[Tally], partitions: Mapping[str, int], *, columnar: bool) -> Generator[Parcel]:
    """Make the record batches of the tallies' units, in order, and count them there.

    Raises: RowsMissing, RowsDamaged (503), WrongDispatch.
    """
    waiting: dict[tuple[str, int], list[tuple[Tally, Piece]]] = {}
    sizes: dict[tuple[str, int], int] = {}

    def take(found: tuple[Tally, int, Piece]) -> None:
        tally, partition, piece = found
        if piece.longest() > MAX_RECORD_BYTES:
            raise WrongDispatch(tally.unit, RecordTooLarge(f"a row has {piece.longest()} bytes, a record at most {MAX_RECORD_BYTES}"))
        frames = piece.frame_bytes()
        tally.digest.update(partition, frames)
        place = (tally.unit.view.topic, partition)
        waiting.setdefault(place, []).append((tally, piece))
        sizes[place] = sizes.get(place, 0) + len(frames)

    def packed(place: tuple[str, int]) -> list[Parcel]:
        todo = waiting.pop(place)
        many = sum(len(piece) for _, piece in todo) >= _FEW_ROWS
        pack = record_batch.pack if columnar and many else row_batch.pack
        builders = pack([piece for _, piece in todo], now_ms=time.time_ns() // 1_000_000, transactional=True)
        owners = _owners([(tally, len(piece)) for tally, piece in todo])
        return [Parcel(*place, builder, tuple(owners(builder.record_count()))) for builder in builders]

    def flush(least: int) -> Iterator[Parcel]:
        places = [place for place, size in sizes.items() if size >= least]
        size = sum(sizes.pop(place) for place in places)
        for made in _each(packed, places, size):
            yield from made

    for tally in tallies:
        unit = tally.unit
        if not unit.dispatch.rows.row_count:
            continue
        with opened(store, unit.dispatch.rows) as path:
            for frame in chunks(path, list(dict.fromkeys([*unit.view.items, *unit.view.key]))):
                tally.row_count += len(frame)
                found = [(tally, partition, piece) for partition, piece in pieces(frame, unit, partitions[unit.view.topic])]
                list(_each(take, found, frame.estimated_size()))
                yield from flush(_FLUSH_BYTES)
    yield from flush(0)


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
