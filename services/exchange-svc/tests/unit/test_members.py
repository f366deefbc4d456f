"""A filtered view over a changing table: its readers end with the table's passing rows, masked, and learn of no other key."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import polars as pl
import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DispatchOrdered, ObjectRef, ViewSnapshot
from dxmesh_schemas.exchange_terms import Comparison, Keep, Prefix, Pseudonym
from dxmesh_tabular.store import ObjectStore
from exchange_svc.batch.errors import RowsMissing
from exchange_svc.delivery import members, outflow
from exchange_svc.delivery.domain import Unit, bundles
from exchange_svc.delivery.members import Changes, Memberships
from exchange_svc.delivery.outflow import Tally, parcels
from exchange_svc.enforcement.rows import enforce, token_keys

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
KEYS = token_keys(b"node")
ADULTS = Comparison(item="age", op="ge", value=18)
Row = tuple[str, int | None]


@dataclass
class Topic:
    """A view, what is made durable of its membership, and a reader who applies each record as it comes."""

    store: ObjectStore
    view: ViewSnapshot
    memberships: Memberships = field(init=False)
    objects: tuple[ObjectRef, ...] = ()
    sequence: int = 0
    records: list[tuple[str | None, str | None, int]] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.memberships = Memberships(self.store, most_keys=0)

    def deliver(self, *batches: tuple[BatchKind, Sequence[Row]], commits: bool = True) -> None:
        """Deliver batches in one transaction, if none has to see what another left; what does not commit leaves no trace."""
        units = [self._unit(kind, rows) for kind, rows in batches]
        for bundle in bundles(enumerate([unit] for unit in units), most_rows=1_000_000):
            with Changes(self.memberships, {self.view.view_id: self.objects}) as changes:
                self._deliver([Tally(unit) for unit in bundle.units], changes, commits)

    def _deliver(self, tallies: list[Tally], changes: Changes, commits: bool) -> None:
        if any(tally.unit.looks_back for tally in tallies) and self.records:
            before = changes.look_back(self.view.view_id)
            for start in range(0, len(self.records), 3):
                some = [(key, value is not None) for key, value, _ in self.records[start : start + 3]]
                before.take(pl.DataFrame(some, {"key": pl.String, "held": pl.Boolean}, orient="row"))
        made = []
        for parcel in parcels(self.store, tallies, {self.view.topic: 1}, KEYS, changes, columnar=True):
            parcel.builder._set_producer_state(1, 1, 0)
            made += list(MemoryRecords(bytes(parcel.builder._build())).next_batch())
        if not commits:
            return
        for record in made:
            key, value = (None if one is None else one.decode() for one in (record.key, record.value))
            self.records.append((key, value, int(dict(record.headers)["row"])))
        changes.committed()
        if (followed := changes.followed.get(self.view.view_id)) is not None:
            self.objects = followed.members.objects
        self.tallies += tallies

    def _unit(self, kind: BatchKind, rows: Sequence[Row]) -> Unit:
        self.sequence += 1
        frame = pl.DataFrame(
            {"row_": range(1, len(rows) + 1), "code": [code for code, _ in rows], "age": [age for _, age in rows]},
            schema={"row_": pl.UInt32, "code": pl.String, "age": pl.Int64},
        )
        if kind is BatchKind.DELETE:
            frame = frame.drop("age")
        path = Path(self.store.uri("batches")).parent / f"{uuid4()}.parquet"
        frame.write_parquet(path)
        ref = self.store.put_file(f"batches/{uuid4()}/rows.parquet", path, row_count=len(frame))
        order = DispatchOrdered(
            resource_id=self.view.resource_id, batch_id=uuid4(), sequence=self.sequence, kind=kind, rows=ref, views=(self.view,),
            ordered_at=AT,
        )  # fmt: skip
        return Unit(order, self.view, Meta(uuid4(), order.TYPE, order.SOURCE, AT))

    @property
    def read(self) -> dict[str | None, object]:
        """Return what a reader of the topic has; a deletion of a key it has not is a fault."""
        had: dict[str | None, object] = {}
        for key, value, _ in self.records:
            if value is None:
                assert key in had, f"{key} was deleted, and the reader had it not"
                del had[key]
            else:
                had[key] = json.loads(value)
        return had


def topic(folder: Path, *, masks: tuple[object, ...] = (), key: tuple[str, ...] = ("code",)) -> Topic:
    view_id = uuid4()
    view = ViewSnapshot(
        view_id=view_id, resource_id=uuid4(), resource_version=1, items=("code", "age"), key=key, topic=f"dxmesh.view.{view_id}",
        schema_url="http://node.test/schema.json", where=(ADULTS,), masks=masks, scope=UUID(int=7),
    )  # fmt: skip
    return Topic(ObjectStore.open((folder / f"{uuid4()}").as_uri()), view)


@pytest.fixture
def followed(tmp_path: Path) -> Topic:
    return topic(tmp_path)


def test_a_row_that_leaves_the_filter_is_deleted_for_those_who_had_it(followed: Topic) -> None:
    followed.deliver((BatchKind.UPSERT, [("a", 20), ("b", 30), ("c", 10)]))
    followed.deliver((BatchKind.UPSERT, [("a", 17), ("c", 11), ("b", None)]))
    assert followed.records[2:] == [("a", None, 1), ("b", None, 3)]
    assert [(one.row_count, one.filtered_count) for one in followed.tallies] == [(2, 1), (2, 1)]


def test_of_a_row_that_never_passed_not_even_the_key_leaves(followed: Topic) -> None:
    followed.deliver((BatchKind.UPSERT, [("secret", 3)]))
    followed.deliver((BatchKind.UPSERT, [("secret", 4)]), (BatchKind.DELETE, [("secret", None)]))
    followed.deliver((BatchKind.SNAPSHOT, [("other", 5)]))
    assert followed.records == []


def test_a_deletion_goes_to_those_who_had_the_key_alone(followed: Topic) -> None:
    followed.deliver((BatchKind.UPSERT, [("a", 20), ("b", 3)]), (BatchKind.DELETE, [("a", None), ("b", None), ("a", None)]))
    assert followed.records == [("a", '{"code":"a","age":20}', 1), ("a", None, 1)]


def test_a_snapshot_deletes_the_keys_it_has_no_more(followed: Topic) -> None:
    followed.deliver((BatchKind.UPSERT, [("a", 20), ("b", 20), ("c", 20), ("d", 1)]))
    followed.deliver((BatchKind.SNAPSHOT, [("b", 21), ("c", 2), ("e", 30)]))
    assert {key: (value, row) for key, value, row in followed.records[3:]} == {
        "b": ('{"code":"b","age":21}', 1),
        "c": (None, 2),
        "e": ('{"code":"e","age":30}', 3),
        "a": (None, 4),
    }
    assert (followed.tallies[1].row_count, followed.tallies[1].vanished_count) == (3, 1)
    followed.deliver((BatchKind.SNAPSHOT, []))
    assert followed.read == {}


def test_several_rows_of_one_key_in_a_batch_are_told_in_their_order(followed: Topic) -> None:
    followed.deliver((BatchKind.UPSERT, [("a", 1), ("a", 20), ("a", 2), ("a", 3), ("a", 30)]))
    assert [(value is None, row) for _, value, row in followed.records] == [(False, 2), (True, 3), (False, 5)]


def test_a_transaction_that_is_given_up_changes_nothing(followed: Topic) -> None:
    followed.deliver((BatchKind.UPSERT, [("a", 20)]), commits=False)
    followed.deliver((BatchKind.DELETE, [("a", None)]))
    assert followed.records == []


def test_a_pseudonym_of_a_key_is_what_is_deleted(tmp_path: Path) -> None:
    hidden = topic(tmp_path, masks=(Pseudonym(item="code", mask="pseudonym"),))
    hidden.deliver((BatchKind.UPSERT, [("310101", 20)]))
    hidden.restart()
    hidden.deliver((BatchKind.DELETE, [("310101", None)]))
    [(key, value, _), (gone, none, _)] = hidden.records
    assert (key, none) == (gone, None)
    assert "310101" not in f"{key} {value}"
    assert all(b"310101" not in hidden.store.get_bytes(one.key) for one in hidden.objects)


def test_deletions_of_a_view_without_a_key_do_not_leave(tmp_path: Path) -> None:
    blind = topic(tmp_path, key=())
    blind.deliver((BatchKind.UPSERT, [("a", 20), ("b", 1)]), (BatchKind.DELETE, [("a", None), ("b", None)]))
    assert [key for key, _, _ in blind.records] == [None]
    assert blind.objects == ()


def test_an_object_that_is_gone_stalls_and_skips_nothing(followed: Topic) -> None:
    followed.deliver((BatchKind.UPSERT, [("a", 20)]))
    followed.store.delete(followed.objects[0].key)
    followed.restart()
    with pytest.raises(RowsMissing):
        followed.deliver((BatchKind.DELETE, [("a", None)]))


def test_small_batches_leave_few_objects_and_large_ones_are_not_written_anew_for_them(followed: Topic) -> None:
    followed.deliver((BatchKind.UPSERT, [(f"k{number}", 20) for number in range(2000)]))
    [first] = followed.objects
    for number in range(40):
        followed.deliver((BatchKind.UPSERT, [(f"n{number}", 20)]))
        assert followed.objects[0] == first
    assert followed.objects[0].row_count == 2000
    assert len(followed.objects) <= 4
    assert sum(one.row_count for one in followed.objects) == 2040


def test_a_view_without_a_filter_keeps_no_membership(tmp_path: Path) -> None:
    plain = topic(tmp_path)
    plain.view = plain.view.model_copy(update={"where": ()})
    plain.deliver((BatchKind.UPSERT, [("a", 1)]), (BatchKind.DELETE, [("b", None)]))
    assert [key for key, _, _ in plain.records] == ["a", "b"]
    assert plain.objects == ()


def test_what_narrower_terms_take_back_is_deleted_in_the_form_of_a_coming_version_too(followed: Topic) -> None:
    into = (DataItem(code="age", name="年龄", data_type=DataType.INTEGER, minimum=0),)
    followed.view = followed.view.model_copy(update={"into": into, "former_where": ()})
    followed.deliver((BatchKind.UPSERT, [("a", 20), ("b", 5), ("c", -1)]))
    assert followed.records == [("a", '{"code":"a","age":20}', 1), ("b", None, 2)], "what did not fit was not there before"


CODES = [f"33{number:02}" for number in range(6)]
ROWS = st.lists(st.tuples(st.sampled_from(CODES), st.one_of(st.none(), st.sampled_from([1, 17, 18, 19, 70]))), max_size=9)
BATCH = st.tuples(st.sampled_from([BatchKind.UPSERT, BatchKind.DELETE, BatchKind.SNAPSHOT, BatchKind.APPEND]), ROWS)
STEP = st.tuples(st.lists(BATCH, min_size=1, max_size=4), st.booleans(), st.booleans())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    steps=st.lists(STEP, max_size=6),
    masks=st.sampled_from([(), (Pseudonym(item="code", mask="pseudonym"),)]),
    where=st.sampled_from([(ADULTS,), (Prefix(item="code", op="prefix", values=("330", "3304")), ADULTS)]),
    chunk=st.sampled_from([2, 5, 24_576]),
    log=st.sampled_from([1, 4, 500_000]),
    growth=st.sampled_from([0, 1, 8]),
)
def test_a_reader_ends_with_the_passing_rows_of_the_table_and_saw_no_other_key(
    tmp_path_factory: pytest.TempPathFactory, steps: list, masks: tuple, where: tuple, chunk: int, log: int, growth: int
) -> None:
    seen = topic(tmp_path_factory.mktemp("members"), masks=masks)
    seen.view = seen.view.model_copy(update={"where": where})
    table: dict[str, int | None] = {}
    passed: set[object] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outflow, "CHUNK_ROWS", chunk)
        patch.setattr(members, "_LOG_ROWS", log)
        patch.setattr(members, "_GROWTH", growth)
        for batches, given_up, restarts in steps:
            batches = [(kind, _possible(kind, rows, table_after(table, batches[:place]))) for place, (kind, rows) in enumerate(batches)]
            if given_up:
                seen.deliver(*batches, commits=False)
            seen.deliver(*batches)
            for kind, rows in batches:
                passed |= set(shown(seen.view, [] if kind is BatchKind.DELETE else rows))
                table = table_after(table, [(kind, rows)])
            if restarts:
                seen.restart()
            assert seen.read == shown(seen.view, list(table.items()))
    assert {key for key, _, _ in seen.records} <= passed


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    steps=st.lists(st.lists(BATCH, min_size=1, max_size=4), max_size=6),
    masks=st.sampled_from([(), (Pseudonym(item="code", mask="pseudonym"),)]),
    chunk=st.sampled_from([2, 5, 24_576]),
    log=st.sampled_from([1, 4, 500_000]),
)
def test_a_reader_of_a_view_without_a_filter_ends_with_the_table(
    tmp_path_factory: pytest.TempPathFactory, steps: list, masks: tuple, chunk: int, log: int
) -> None:
    seen = topic(tmp_path_factory.mktemp("members"), masks=masks)
    seen.view = seen.view.model_copy(update={"where": ()})
    table: dict[str, int | None] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outflow, "CHUNK_ROWS", chunk)
        patch.setattr(members, "_LOG_ROWS", log)
        for batches in steps:
            batches = [(kind, _possible(kind, rows, table_after(table, batches[:place]))) for place, (kind, rows) in enumerate(batches)]
            seen.deliver(*batches)
            before, table = table, table_after(table, batches)
            had = {key: value for key, value, _ in seen.records}
            told = {key: json.loads(value) for key, value in had.items() if value is not None}
            assert told == shown(seen.view, list(table.items()))
            if len(batches) == 1 and batches[0][0] is BatchKind.SNAPSHOT:
                assert seen.tallies[-1].vanished_count == len(before.keys() - table.keys()), "each key that is gone is told once"
    assert seen.objects == (), "nothing is kept of a view without a filter"


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    batches=st.lists(BATCH, min_size=1, max_size=6),
    former_where=st.sampled_from([(), (Prefix(item="code", op="prefix", values=("3300", "3301", "3302")),)]),
    read=st.integers(0, 40),
    chunk=st.sampled_from([2, 24_576]),
)
def test_a_reader_of_wider_terms_who_goes_on_by_the_new_topic_ends_with_what_passes(
    tmp_path_factory: pytest.TempPathFactory, batches: list, former_where: tuple, read: int, chunk: int
) -> None:
    former, now = (topic(tmp_path_factory.mktemp("members")) for _ in range(2))
    former.view = former.view.model_copy(update={"where": former_where})
    now.view = now.view.model_copy(update={"former_where": former_where})
    table: dict[str, int | None] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outflow, "CHUNK_ROWS", chunk)
        for kind, rows in batches:
            batch = (kind, _possible(kind, rows, table))
            table = table_after(table, [batch])
            former.deliver(batch)
            now.deliver(batch)
    had = {key: value for key, value, _ in former.records[:read]}
    had |= {key: value for key, value, _ in now.records}
    told = {key: json.loads(value) for key, value in had.items() if value is not None}
    assert told == shown(now.view, list(table.items()))
    entitled = {code for kind, rows in batches if kind is not BatchKind.DELETE for code, _ in rows if not former_where or code < "3303"}
    adults = {code for _, rows in batches for code, age in rows if age is not None and age >= 18}
    assert {key for key, _, _ in now.records} <= entitled | adults, "no key of which neither filter let anything out"


def _possible(kind: BatchKind, rows: list[Row], table: dict[str, int | None]) -> list[Row]:
    """Return rows as they are accepted: an appended key is new, and a snapshot has each once."""
    if kind is BatchKind.APPEND:
        return [(code, age) for code, age in dict(rows).items() if code not in table]
    return list(dict(rows).items()) if kind is BatchKind.SNAPSHOT else rows


def table_after(table: dict[str, int | None], batches: Sequence[tuple[BatchKind, Sequence[Row]]]) -> dict[str, int | None]:
    table = dict(table)
    for kind, rows in batches:
        if kind is BatchKind.DELETE:
            table = {code: age for code, age in table.items() if code not in dict(rows)}
        elif kind is BatchKind.SNAPSHOT:
            table = dict(rows)
        else:
            table |= dict(rows)
    return table


def shown(view: ViewSnapshot, rows: list[Row]) -> dict[str, object]:
    frame = pl.DataFrame(rows, schema={"code": pl.String, "age": pl.Int64}, orient="row")
    return {row["code"]: row for row in enforce(frame, view, KEYS).to_dicts()}


def test_a_short_text_is_hidden_whole(tmp_path: Path) -> None:
    view = topic(tmp_path, masks=(Keep(item="code", mask="keep", prefix=2, suffix=2),)).view
    assert list(shown(view, [("3301", 20)])) == ["****"]
