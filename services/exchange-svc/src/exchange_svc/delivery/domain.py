"""Rules of delivery: what was delivered before, which dispatches share a transaction, and what a completed delivery says."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5

from dxmesh_schemas.catalog import Snapshot
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DeliveryCompleted, DispatchOrdered, Misfit, ObjectRef, ViewSnapshot

_EVENTS = UUID("6f0c3c0e-52a1-5f0d-9a39-6b1f6f1d8c11")  # names delivery events: a repeat has the id of the first

Range = tuple[int, int]


def completed_event_id(batch_id: UUID, view_id: UUID) -> UUID:
    """Return the id of the event that says a batch is on a view's topic: the same however often that is done."""
    return uuid5(_EVENTS, f"{batch_id}/{view_id}")


class Delivered(Snapshot):
    """What a view has had so far; travels as a record of the state topic, in the transaction of the rows themselves.

    sequences: ranges [first, last] of delivered batches, ascending, apart. newest: when the latest of them was ordered.
    ends: [partition, last offset] of the latest records, to tell whether the topic still holds them.
    members: of a view with a filter, the objects that say which keys its readers have (see `members`).
    begun: of one without, [partition, offset] where the records begin that say so: the last snapshot's, before which nothing counts.
    ended_at: when the worker read that the view had closed.
    """

    view_id: UUID
    topic: str
    sequences: tuple[Range, ...] = ()
    newest: datetime
    ends: tuple[Range, ...] = ()
    members: tuple[ObjectRef, ...] = ()
    begun: tuple[Range, ...] = ()
    ended_at: datetime | None = None

    def lost(self) -> "Delivered":
        """Return this for a topic that holds its records no longer; keys that readers had are theirs to be told of all the same."""
        return self.model_copy(update={"sequences": (), "ends": (), "begun": ()})

    def covers(self, dispatch: DispatchOrdered) -> bool:
        """Say whether this dispatch was delivered before.

        A relay that dies between the broker's acknowledgement and its own note of it publishes an event twice, and one that heals a
        broker publishes a tail twice. A sequence seen before but ordered later than anything delivered is another batch: the database
        went back to a backup, and its new history counts.
        """
        return dispatch.ordered_at <= self.newest and any(first <= dispatch.sequence <= last for first, last in self.sequences)


def remember(
    before: Delivered | None,
    view: ViewSnapshot,
    dispatch: DispatchOrdered,
    ends: Iterable[Range],
    members: tuple[ObjectRef, ...] | None = None,
    begun: tuple[Range, ...] | None = None,
) -> Delivered:
    """Return what the view has had once this dispatch is delivered too; members, begun: None where they are as before."""
    if members is None:
        members = before.members if before else ()
    if begun is None:
        begun = before.begun if before else ()
    sequences = _united([*(before.sequences if before else ()), (dispatch.sequence, dispatch.sequence)])
    known = dict(before.ends if before else ()) | dict(ends)
    return Delivered(
        view_id=view.view_id,
        topic=view.topic,
        sequences=sequences,
        newest=max(before.newest, dispatch.ordered_at) if before else dispatch.ordered_at,
        ends=tuple(sorted(known.items())),
        members=members,
        begun=begun,
        ended_at=before.ended_at if before else None,
    )


def begun_by(before: Delivered | None, ranges: Iterable[tuple[int, int, int]]) -> tuple[Range, ...]:
    """Return where the records of a whole snapshot begin in each partition: behind all that was there, as it says anew what there is."""
    behind = {partition: last + 1 for partition, last in (before.ends if before else ())}
    return tuple(sorted((behind | {partition: first for partition, first, _ in ranges}).items()))


def _united(ranges: Iterable[Range]) -> tuple[Range, ...]:
    united: list[Range] = []
    for first, last in sorted(ranges):
        if united and first <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(united[-1][1], last))
        else:
            united.append((first, last))
    return tuple(united)


@dataclass(frozen=True)
class Unit:
    """One dispatched batch for one view: what is delivered as a whole."""

    dispatch: DispatchOrdered
    view: ViewSnapshot
    meta: Meta

    @property
    def looks_back(self) -> bool:
        """Say whether this is to tell which keys its readers have no more, and nothing but the topic says which they had."""
        return self.dispatch.kind is BatchKind.SNAPSHOT and bool(self.view.key) and not self.view.where


@dataclass
class Bundle:
    """What one transaction delivers. next_offset: where reading goes on after it, None while a dispatch is not yet through."""

    units: list[Unit] = field(default_factory=list)
    next_offset: int | None = None
    row_count: int = 0


def bundles(dispatches: Iterable[tuple[int, Sequence[Unit]]], *, most_rows: int) -> Iterator[Bundle]:
    """Put waiting dispatches, as (offset, units), into transactions of at most `most_rows`, in order.

    A unit is never cut: one above the limit has a transaction of its own. The views of one dispatch may end up in several
    transactions; what was delivered is remembered per view, so a repeat of the dispatch goes on where it broke off. A unit that looks back
    sees what is committed, so nothing of its view goes before it in its own transaction.
    """
    bundle = Bundle()
    for offset, units in dispatches:
        for unit in units:
            rows = max(unit.dispatch.rows.row_count, 1)
            is_full = bool(bundle.row_count) and bundle.row_count + rows > most_rows
            if is_full or (unit.looks_back and any(one.view.view_id == unit.view.view_id for one in bundle.units)):
                yield bundle
                bundle = Bundle()
            bundle.units.append(unit)
            bundle.row_count += rows
        bundle.next_offset = offset + 1
    if bundle.units or bundle.next_offset is not None:
        yield bundle


class Digest:
    """The `sha256` of a delivery.

    Per partition, SHA-256 over the frames of the delivery's records in offset order, where a frame is the record's key and value as
    Kafka's record format has them: zigzag varint of the length (-1 for null), then the bytes, for the key and then the value.
    The delivery's digest is SHA-256 over the partitions' digests (32 bytes each) in order of partition, leaving out those without records.
    Headers, offsets and the borders of record batches do not enter, so any reader can recompute it from what it has read.
    """

    def __init__(self) -> None:
        self._partitions: dict[int, hashlib._Hash] = {}

    def update(self, partition: int, frames: bytes | memoryview) -> None:
        """Add frames that follow on a partition."""
        if len(frames):
            self._partitions.setdefault(partition, hashlib.sha256()).update(frames)

    def hexdigest(self) -> str:
        """Return the digest of all that was added."""
        return hashlib.sha256(b"".join(self._partitions[partition].digest() for partition in sorted(self._partitions))).hexdigest()


def completed(
    unit: Unit,
    *,
    ranges: Sequence[tuple[int, int, int]],
    delivered_count: int,
    withheld_count: int,
    misfits: Mapping[str, int],
    filtered_count: int,
    vanished_count: int,
    sha256: str,
    now: datetime,
) -> DeliveryCompleted:
    """Return the event of a delivery; ranges: [partition, first, last offset] of its records."""
    return DeliveryCompleted(
        resource_id=unit.dispatch.resource_id,
        batch_id=unit.dispatch.batch_id,
        sequence=unit.dispatch.sequence,
        view_id=unit.view.view_id,
        topic=unit.view.topic,
        ranges=tuple(ranges),
        accepted_count=unit.dispatch.rows.row_count,
        delivered_count=delivered_count,
        withheld_count=withheld_count,
        misfits=tuple(Misfit(item=item, row_count=count) for item, count in sorted(misfits.items())),
        filtered_count=filtered_count,
        vanished_count=vanished_count,
        sha256=sha256,
        completed_at=now,
    )
