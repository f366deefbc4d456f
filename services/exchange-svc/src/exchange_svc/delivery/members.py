"""Which keys the readers of a filtered view have, so that a row that leaves the filter is deleted there and no other key is ever named.

Durable: per view a few immutable Parquet objects of changes (`key`, `held`), oldest first, each key once an object, the newest word on
a key counts; the view's `Delivered` names them, in the transaction of the rows. In memory: 16 bytes a key (a fingerprint under seeds of
this process) and one bit, ascending. A transaction's changes are one more object; objects not much larger are merged into it, so there
are about log8(keys) of them and a key is written anew about as often.
"""

import secrets
import tempfile
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

import polars as pl
import pyarrow.parquet as pq

from dxmesh_runtime.db import utc_now
from dxmesh_schemas.exchange import BatchKind, ObjectRef
from dxmesh_schemas.problem import NotFound
from dxmesh_tabular.store import ObjectStore, sha256_of
from dxmesh_tabular.writing import write_parquet
from exchange_svc.batch.errors import RowsMissing

_SCHEMA = pl.Schema({"key": pl.String(), "held": pl.Boolean()})
_SEEDS = (secrets.randbits(63), secrets.randbits(63))  # whoever chooses keys cannot choose which fall together
_GROWTH = 8
_LOG_ROWS = 500_000
_GRACE_SECONDS = 3600.0  # a broker that lost power may come back with a state that is a little older


def marks_of(keys: pl.Series) -> pl.Series:
    """Return the fingerprints of key texts: 128 bits, the same within this process only."""
    high, low = (pl.lit(keys).hash(seed).cast(pl.Int128) for seed in _SEEDS)
    return pl.select(pl.when(pl.lit(keys).is_not_null()).then(high * pl.lit(1 << 63, pl.Int128) + low)).to_series()


@dataclass(frozen=True)
class Run:
    """Changes: fingerprints, ascending, each once, and whether readers have the key since."""

    marks: pl.Series
    held: pl.Series

    def __len__(self) -> int:
        return len(self.marks)

    @classmethod
    def of(cls, marks: pl.Series, held: pl.Series) -> "Run":
        """Return the changes of these in order: of several of one key the last counts."""
        frame = pl.DataFrame({"mark": marks, "held": held}).unique(subset="mark", keep="last", maintain_order=True).sort("mark")
        return cls(frame["mark"], frame["held"])

    @classmethod
    def merged(cls, runs: Sequence["Run"], *, is_whole: bool = False) -> "Run":
        """Return several, oldest first, as one. is_whole: nothing lies before them, so keys that readers have not need no word."""
        if len(runs) == 1 and not is_whole:
            return runs[0]
        one = cls.of(pl.concat([run.marks for run in runs]), pl.concat([run.held for run in runs]))
        return cls(one.marks.filter(one.held), one.held.filter(one.held)) if is_whole else one

    def told(self, marks: pl.Series) -> pl.Series:
        """Return for each fingerprint whether readers have the key, null where this says nothing of it."""
        if not len(self.marks):
            return pl.repeat(None, len(marks), dtype=pl.Boolean, eager=True)
        place = self.marks.search_sorted(marks).clip(upper_bound=len(self.marks) - 1)
        return pl.select(pl.when(self.marks.gather(place) == marks).then(self.held.gather(place))).to_series()


@dataclass(frozen=True)
class Members:
    """The keys that readers of a view have: the objects that say so, and the changes in each."""

    objects: tuple[ObjectRef, ...] = ()
    runs: tuple[Run, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.runs))


class Memberships:
    """Memberships of a lane's views that are at hand, longest unused given up first; what is given up is read again when it is needed."""

    def __init__(self, store: ObjectStore, *, most_keys: int) -> None:
        self.store = store
        self._most_keys = most_keys
        self._known: OrderedDict[UUID, Members] = OrderedDict()
        self._replaced: deque[tuple[float, str]] = deque()

    def open(self, view_id: UUID, objects: tuple[ObjectRef, ...]) -> Members:
        """Return a view's membership as its state names it. Raises: RowsMissing (503)."""
        known = self._known.get(view_id)
        if known is None or known.objects != objects:
            known = Members(objects, tuple(_read(self.store, one) for one in objects))
        self._keep(view_id, known)
        return known

    def committed(self, followed: "Following") -> None:
        """Take over what a committed transaction made of a view's membership."""
        named = {one.key for one in followed.members.objects}
        self._replaced += ((time.monotonic(), one.key) for one in followed.replaced if one.key not in named)
        self._keep(followed.view_id, followed.members)

    def sweep(self) -> None:
        """Remove objects whose place others took a while ago."""
        while self._replaced and self._replaced[0][0] < time.monotonic() - _GRACE_SECONDS:
            self.store.delete(self._replaced.popleft()[1])

    def is_over(self, ended_at: datetime | None) -> bool:
        """Say whether what is kept of a view that ended then can go: a while later, as with objects whose place others took."""
        return ended_at is not None and utc_now() - ended_at >= timedelta(seconds=_GRACE_SECONDS)

    def remove(self, view_id: UUID) -> None:
        """Remove all that is kept of a view, also by transactions that were given up; doing it again is fine."""
        self._known.pop(view_id, None)
        for one in list(self.store.list_objects(f"members/{view_id}")):
            self.store.delete(one.key)

    def _keep(self, view_id: UUID, members: Members) -> None:
        self._known[view_id] = members
        self._known.move_to_end(view_id)
        while len(self._known) > 1 and sum(map(len, self._known.values())) > self._most_keys:
            self._known.popitem(last=False)


@dataclass
class Following:
    """What one transaction makes of a view's membership; nothing is changed for others before `Memberships.committed`.

    is_kept: whether it outlives the transaction; if not, its objects are not merged.
    """

    store: ObjectStore
    view_id: UUID
    members: Members
    is_kept: bool = True
    sequence: int = 0
    replaced: list[ObjectRef] = field(default_factory=list)
    _log: list[pl.DataFrame] = field(default_factory=list)
    _recent: list[Run] = field(default_factory=list)
    _seen: list[pl.Series] = field(default_factory=list)

    def losing(self, keys: pl.Series, passed: pl.Series, kind: BatchKind, sequence: int, formerly: pl.Series | None = None) -> pl.Series:
        """Note rows, in order, and say by which of them readers lose a key they have: it does not pass and takes its place.

        keys: the text of each row's record key. passed: whether the row leaves; of a batch that deletes none does. formerly: whether
        readers had it of a view that this one takes rows back from.
        """
        self.sequence = sequence
        marks = self.see(keys) if kind is BatchKind.SNAPSHOT else marks_of(keys)
        known = keys.is_not_null()
        before = self._held(marks)
        lost = before & ~passed & known
        if kind is BatchKind.APPEND:
            lost = pl.repeat(value=False, n=len(keys), dtype=pl.Boolean, eager=True)
            known = known & passed
        elif marks.n_unique() < len(marks):
            rows = pl.DataFrame({"mark": marks, "passed": passed, "before": before})
            had = pl.col("passed").shift(1).over("mark").fill_null(pl.col("before"))
            lost = rows.select(had & ~pl.col("passed")).to_series() & known
        if formerly is not None:
            lost = lost | (formerly & ~passed & keys.is_not_null())
        changes = pl.DataFrame({"key": keys, "held": passed, "mark": marks, "before": before}).filter(known)
        changes = changes.unique(subset="mark", keep="last", maintain_order=True).filter(pl.col("held") != pl.col("before"))
        self._note(changes)
        return lost

    def see(self, keys: pl.Series) -> pl.Series:
        """Note keys that a snapshot has, and return their fingerprints."""
        marks = marks_of(keys)
        self._seen.append(marks.drop_nulls())
        return marks

    def take(self, records: pl.DataFrame) -> None:
        """Note what records on the view's topic made of their keys, the last counts. Frame: n_records × `key`, `held`, in their order."""
        named = records.filter(pl.col("key").is_not_null())
        self._note(named.with_columns(mark=marks_of(named["key"])))

    def vanished(self, *, is_whole: bool) -> Iterator[pl.Series]:
        """Yield, once all rows of a snapshot are noted, the keys that readers have and it has not; they are lost with that.

        is_whole: whether none of its rows was withheld; else it cannot be told what it has not, and nothing is lost.
        """
        if not is_whole:
            self._seen.clear()
            return
        marks = pl.concat([pl.Series(dtype=pl.Int128), *self._seen])
        seen = Run.of(marks, pl.repeat(value=True, n=len(marks), dtype=pl.Boolean, eager=True))
        self._seen.clear()
        self.seal()
        before = self.members
        for place, one in enumerate(before.objects):
            newer = [*before.runs[place + 1 :], seen]
            for group in _groups(self.store, one):
                marks = marks_of(group["key"])
                gone = group.with_columns(mark=marks).filter(group["held"] & ~_named(newer, marks))
                if len(gone):
                    self._note(gone.with_columns(held=pl.lit(value=False)))
                    yield gone["key"]

    def seal(self) -> None:
        """Put what was noted into the object store. Raises: RowsMissing (503)."""
        if not self._log:
            return
        log = pl.concat(self._log).unique(subset="key", keep="last", maintain_order=True)
        objects, runs = self.members.objects, self.members.runs
        first, rows = len(objects), len(log)
        while self.is_kept and first and objects[first - 1].row_count <= _GROWTH * rows:
            first -= 1
            rows += objects[first].row_count
        mine = Run.merged(self._recent)
        run = Run.merged([*runs[first:], mine], is_whole=first == 0)
        made = [self._put(self._merging(first, mine, log), len(run))] if len(run) else []
        self.members = Members((*objects[:first], *made), (*runs[:first], *([run] if made else [])))
        self.replaced += objects[first:]
        self._log.clear()
        self._recent.clear()

    def _merging(self, first: int, mine: Run, log: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Yield the changes of the objects from `first` on and then the log's, without those that a newer one takes back."""
        for place in range(first, len(self.members.objects)):
            newer = [*self.members.runs[place + 1 :], mine]
            for group in _groups(self.store, self.members.objects[place]):
                kept = group.filter(~_named(newer, marks_of(group["key"])))
                yield kept.filter("held") if first == 0 else kept
        yield log.filter("held") if first == 0 else log

    def _put(self, changes: Iterator[pl.DataFrame], row_count: int) -> ObjectRef:
        with tempfile.TemporaryDirectory(prefix="dxmesh-members-") as folder:
            path = Path(folder) / "changes.parquet"
            write_parquet(changes if row_count > _LOG_ROWS else [pl.concat(changes)], path, schema=_SCHEMA)
            return self.store.put_file(f"members/{self.view_id}/{self.sequence}-{sha256_of(path)}.parquet", path, row_count=row_count)

    def _held(self, marks: pl.Series) -> pl.Series:
        return _told([*self.members.runs, *self._recent], marks).fill_null(value=False)

    def _note(self, changes: pl.DataFrame) -> None:
        if not len(changes):
            return
        self._log.append(changes.select("key", "held"))
        run = Run.of(changes["mark"], changes["held"])
        while self._recent and len(self._recent[-1]) <= _GROWTH * len(run):
            run = Run.merged([self._recent.pop(), run])
        self._recent.append(run)
        if sum(map(len, self._log)) > _LOG_ROWS:
            self.seal()


@dataclass
class Changes:
    """What one transaction makes of the memberships of its views; named: the objects that say what each was.

    As a context it gives up what was needed for a moment: what readers of views without a filter had before a snapshot.
    """

    memberships: Memberships
    named: Mapping[UUID, tuple[ObjectRef, ...]] = field(default_factory=dict)
    followed: dict[UUID, Following] = field(default_factory=dict)
    _before: dict[UUID, Following] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._before.clear()
        self._open.close()

    def look_back(self, view_id: UUID) -> Following:
        """Return where to note what readers of a view have before the snapshot that this transaction delivers to it."""
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="dxmesh-before-")))
        self._before[view_id] = Following(ObjectStore.open(folder.as_uri()), view_id, Members(), is_kept=False)
        return self._before[view_id]

    def before(self, view_id: UUID) -> Following | None:
        """Return what was noted so."""
        return self._before.get(view_id)

    def of(self, view_id: UUID) -> Following:
        """Return what the transaction makes of a view's membership so far. Raises: RowsMissing (503)."""
        if view_id not in self.followed:
            members = self.memberships.open(view_id, self.named.get(view_id, ()))
            self.followed[view_id] = Following(self.memberships.store, view_id, members)
        return self.followed[view_id]

    def seal(self) -> None:
        """Make all of it durable. Raises: RowsMissing (503)."""
        for followed in self.followed.values():
            followed.seal()

    def committed(self) -> None:
        """Take it over, once the transaction is committed; what others replaced a while ago is removed."""
        for followed in self.followed.values():
            self.memberships.committed(followed)
        self.memberships.sweep()


def _told(runs: Sequence[Run], marks: pl.Series) -> pl.Series:
    """Return what the newest of the runs (oldest first) that names a key says of it, null where none does."""
    found = pl.repeat(None, len(marks), dtype=pl.Boolean, eager=True)
    for run in reversed(runs):
        found = pl.select(pl.coalesce(found, run.told(marks))).to_series()
    return found


def _named(runs: Sequence[Run], marks: pl.Series) -> pl.Series:
    return _told(runs, marks).is_not_null()


def _read(store: ObjectStore, ref: ObjectRef) -> Run:
    groups = [(marks_of(group["key"]), group["held"]) for group in _groups(store, ref)]
    return Run.of(pl.concat([marks for marks, _ in groups]), pl.concat([held for _, held in groups]))


def _groups(store: ObjectStore, ref: ObjectRef) -> Iterator[pl.DataFrame]:
    """Yield an object's changes, a row group at a time."""
    try:
        with store.local_copy(ref.key) as path, pq.ParquetFile(path) as file:
            for number in range(file.metadata.num_row_groups):
                yield pl.DataFrame(file.read_row_group(number, use_threads=False), schema=_SCHEMA)
    except NotFound as missing:
        raise RowsMissing(f"{ref.key} is not in the object store: restore the object") from missing
