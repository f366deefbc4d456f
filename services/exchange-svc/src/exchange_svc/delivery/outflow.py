"""From the units of a transaction to record batches for the broker, a little ahead of what is sent; runs in a thread, sees no network."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dxmesh_schemas.problem import Problem
from dxmesh_tabular.store import ObjectStore
from exchange_svc.delivery import record_batch, row_batch
from exchange_svc.delivery.domain import Digest, Unit
from exchange_svc.delivery.errors import RecordTooLarge
from exchange_svc.delivery.projection import chunks, opened, pieces
from exchange_svc.delivery.record_batch import BATCH_BYTES, MAX_RECORD_BYTES, Piece

_FLUSH_BYTES = BATCH_BYTES // 2  # what has gathered for a partition leaves from here on, so a chunk's remainder makes no tiny batch


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
    pack = record_batch.pack if columnar else row_batch.pack
    waiting: dict[tuple[str, int], list[tuple[Tally, Piece]]] = {}
    sizes: dict[tuple[str, int], int] = {}

    def flush(place: tuple[str, int]) -> Iterator[Parcel]:
        todo = waiting.pop(place)
        del sizes[place]
        owners = iter([(tally, len(piece)) for tally, piece in todo])
        tally, left = next(owners)
        for builder in pack([piece for _, piece in todo], now_ms=time.time_ns() // 1_000_000, transactional=True):
            parts = []
            count = builder.record_count()
            while count:
                if not left:
                    tally, left = next(owners)
                taken = min(left, count)
                parts.append((tally, taken))
                left -= taken
                count -= taken
            yield Parcel(*place, builder, tuple(parts))

    for tally in tallies:
        unit = tally.unit
        if not unit.dispatch.rows.row_count:
            continue
        with opened(store, unit.dispatch.rows) as path:
            for frame in chunks(path, list(dict.fromkeys([*unit.view.items, *unit.view.key]))):
                tally.row_count += len(frame)
                for partition, piece in pieces(frame, unit, partitions[unit.view.topic]):
                    if piece.longest() > MAX_RECORD_BYTES:
                        raise WrongDispatch(unit, RecordTooLarge(f"a row has {piece.longest()} bytes, a record at most {MAX_RECORD_BYTES}"))
                    frames = piece.frame_bytes()
                    tally.digest.update(partition, frames)
                    place = (unit.view.topic, partition)
                    waiting.setdefault(place, []).append((tally, piece))
                    sizes[place] = sizes.get(place, 0) + len(frames)
                for place in [place for place, size in sizes.items() if size >= _FLUSH_BYTES]:
                    yield from flush(place)
    for place in list(waiting):
        yield from flush(place)
