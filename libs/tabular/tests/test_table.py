"""Folding batches into a Delta table: each kind, exactly once, and rows back in a fixed order."""

import os
from pathlib import Path
from uuid import UUID, uuid4

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.problem import Conflict, Invalid, NotFound
from dxmesh_tabular import table, table_files
from dxmesh_tabular.items import schema
from dxmesh_tabular.lookup import Lookup
from dxmesh_tabular.store import ObjectStore

RESOURCE = UUID("0190a000-0000-7000-8000-000000000001")
ID = DataItem(code="Id", name="编号", data_type=DataType.TEXT, required=True)
NAME = DataItem(code="name", name="名称", data_type=DataType.TEXT)
AMOUNT = DataItem(code="amount", name="金额", data_type=DataType.MONEY)
SINCE = DataItem(code="since", name="时间", data_type=DataType.DATETIME)
ITEMS = (ID, NAME)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    bucket = os.environ.get("DXMESH_TEST_S3_URL")
    if request.param == "folder":
        return ObjectStore.open((tmp_path / "store").as_uri())
    if bucket is None:
        pytest.skip("DXMESH_TEST_S3_URL names no bucket (with AWS_* variables for its server)")
    return ObjectStore.open(f"{bucket}/{uuid4()}")


class Batches:
    """Puts batches into a store, one file each."""

    def __init__(self, store: ObjectStore, tmp_path: Path) -> None:
        self.store = store
        self.folder = tmp_path

    def put(self, sequence: int, kind: str, rows: list[tuple[object, ...]], items: tuple[DataItem, ...] = ITEMS) -> table.FoldInput:
        frame = pl.DataFrame([(number, *row) for number, row in enumerate(rows, 1)], schema=schema(items), orient="row")
        path = self.folder / f"{sequence}.parquet"
        frame.write_parquet(path)
        key = f"batches/{RESOURCE}/{sequence}/rows.parquet"
        self.store.put_file(key, path)
        return table.FoldInput(sequence, BatchKind(kind), key)


@pytest.fixture
def batches(store: ObjectStore, tmp_path: Path) -> Batches:
    return Batches(store, tmp_path)


def fold(
    store: ObjectStore, *inputs: table.FoldInput, items: tuple[DataItem, ...] = ITEMS, key: tuple[str, ...] = ("Id",)
) -> table.TableState:
    return table.fold(store, RESOURCE, items, key, inputs)


def rows(store: ObjectStore, *columns: str, version: int | None = None) -> list[tuple[object, ...]]:
    frame = table.scan(store, table.table_key(RESOURCE), version=version).sort("sequence_", "row_").collect()
    return frame.select(columns or ("sequence_", "row_", "Id", "name")).rows()


def test_several_appends_are_one_commit_and_keep_their_order(store: ObjectStore, batches: Batches) -> None:
    state = fold(store, batches.put(1, "append", [("a", "甲"), ("b", None)]), batches.put(2, "append", [("c", "丙")]))
    assert state == table.TableState(version=1, sequence=2, row_count=3)
    assert rows(store) == [(1, 1, "a", "甲"), (1, 2, "b", None), (2, 1, "c", "丙")]


def test_folding_again_changes_nothing(store: ObjectStore, batches: Batches) -> None:
    inputs = [batches.put(1, "append", [("a", "1")]), batches.put(2, "upsert", [("a", "2")]), batches.put(3, "append", [("b", "3")])]
    first = fold(store, *inputs)
    assert fold(store, *inputs) == first
    assert fold(store, *inputs[1:]) == first
    assert rows(store) == [(2, 1, "a", "2"), (3, 1, "b", "3")]


def test_a_fold_that_stopped_half_way_goes_on_where_it_stopped(store: ObjectStore, batches: Batches) -> None:
    one, two, three = (
        batches.put(1, "append", [("a", "1")]),
        batches.put(2, "delete", [("a", None)]),
        batches.put(3, "append", [("b", "3")]),
    )
    fold(store, one)
    assert fold(store, one, two, three).sequence == 3
    assert rows(store) == [(3, 1, "b", "3")]


def test_an_upsert_replaces_by_key_and_adds_what_is_new(store: ObjectStore, batches: Batches) -> None:
    state = fold(store, batches.put(1, "append", [("a", "1"), ("b", "2")]), batches.put(2, "upsert", [("c", "3"), ("b", "two")]))
    assert rows(store) == [(1, 1, "a", "1"), (2, 1, "c", "3"), (2, 2, "b", "two")]
    assert state.row_count == 3


def test_of_rows_with_one_key_in_upserts_the_last_wins(store: ObjectStore, batches: Batches) -> None:
    fold(store, batches.put(1, "upsert", [("a", "1"), ("a", "2"), ("b", "x")]), batches.put(2, "upsert", [("b", "y")]))
    assert rows(store) == [(1, 2, "a", "2"), (2, 1, "b", "y")]


def test_a_null_key_is_a_key_like_any_other(store: ObjectStore, batches: Batches) -> None:
    fold(store, batches.put(1, "append", [(None, "1"), ("a", "2")]), batches.put(2, "upsert", [(None, "new")]))
    assert rows(store) == [(1, 2, "a", "2"), (2, 1, None, "new")]
    fold(store, batches.put(3, "delete", [(None, None)]))
    assert rows(store) == [(1, 2, "a", "2")]


def test_a_key_held_twice_leaves_twice_and_comes_once(store: ObjectStore, batches: Batches) -> None:
    fold(store, batches.put(1, "append", [("a", "1"), ("a", "2"), ("b", "3")]), batches.put(2, "upsert", [("a", "new")]))
    assert rows(store) == [(1, 3, "b", "3"), (2, 1, "a", "new")]


def test_a_delete_removes_by_key_and_ignores_what_is_not_there(store: ObjectStore, batches: Batches) -> None:
    state = fold(store, batches.put(1, "append", [("a", "1"), ("b", "2")]), batches.put(2, "delete", [("a", None), ("zz", None)]))
    assert rows(store) == [(1, 2, "b", "2")]
    assert (state.sequence, state.row_count) == (2, 1)


def test_a_delete_that_finds_nothing_advances_the_sequence(store: ObjectStore, batches: Batches) -> None:
    fold(store, batches.put(1, "append", [("a", "1")]))
    assert fold(store, batches.put(2, "delete", [("zz", None)])).sequence == 2
    assert fold(store, batches.put(3, "append", [("b", "2")])).row_count == 2


def test_a_key_of_two_items_compares_both(store: ObjectStore, batches: Batches) -> None:
    key = ("Id", "name")
    fold(
        store, batches.put(1, "append", [("a", "1"), ("a", "2"), ("a", None)]), batches.put(2, "delete", [("a", "2"), ("a", None)]), key=key
    )
    assert rows(store, "Id", "name") == [("a", "1")]


def test_a_snapshot_replaces_the_whole_table_and_what_came_before_it(store: ObjectStore, batches: Batches) -> None:
    fold(store, batches.put(1, "append", [("a", "1")]))
    state = fold(
        store, batches.put(2, "append", [("b", "2")]), batches.put(3, "snapshot", [("c", "3")]), batches.put(4, "append", [("d", "4")])
    )
    assert rows(store) == [(3, 1, "c", "3"), (4, 1, "d", "4")]
    assert (state.version, state.sequence, state.row_count) == (3, 4, 2)


def test_an_empty_batch_advances_the_sequence(store: ObjectStore, batches: Batches) -> None:
    assert fold(store, batches.put(1, "append", [])).sequence == 1
    assert fold(store, batches.put(2, "snapshot", [])) == table.TableState(version=2, sequence=2, row_count=0)
    assert fold(store, batches.put(3, "delete", [])).sequence == 3


def test_columns_of_new_items_are_added_and_dropped_items_stay_until_a_snapshot(store: ObjectStore, batches: Batches) -> None:
    fold(store, batches.put(1, "append", [("a", "1")]))
    wider = (ID, NAME, AMOUNT)
    fold(store, batches.put(2, "append", [("b", "2", None)], wider), items=wider)
    fold(store, batches.put(3, "upsert", [("a", None)], (ID, SINCE)), items=(ID, SINCE))
    assert rows(store, "Id", "name", "amount", "since") == [("b", "2", None, None), ("a", None, None, None)]
    fold(store, batches.put(4, "snapshot", [("z", None)], (ID, SINCE)), items=(ID, SINCE))
    assert table.scan(store, table.table_key(RESOURCE)).collect_schema().names() == ["sequence_", "row_", "Id", "since"]


def test_a_changed_type_is_a_conflict_until_a_snapshot(store: ObjectStore, batches: Batches) -> None:
    fold(store, batches.put(1, "append", [("a", "1")]))
    changed = (ID, NAME.model_copy(update={"data_type": DataType.INTEGER}))
    with pytest.raises(Conflict, match="name"):
        fold(store, batches.put(2, "append", [("b", 2)], changed), items=changed)
    store.delete(f"batches/{RESOURCE}/2/rows.parquet")
    fold(store, batches.put(2, "snapshot", [("b", 2)], changed), items=changed)
    assert rows(store) == [(2, 1, "b", 2)]


def test_a_gap_between_batches_is_a_conflict_and_nothing_is_written(store: ObjectStore, batches: Batches) -> None:
    one, two, three = (batches.put(n, "append", [(str(n), "x")]) for n in (1, 2, 3))
    fold(store, one)
    with pytest.raises(Conflict, match="gap"):
        fold(store, three)
    with pytest.raises(Conflict, match="gap"):
        fold(store, two, one)
    assert table.state(store, RESOURCE) == table.TableState(version=1, sequence=1, row_count=1)


def test_upsert_without_a_business_key_is_invalid(store: ObjectStore, batches: Batches) -> None:
    with pytest.raises(Invalid, match="business key"):
        fold(store, batches.put(1, "upsert", [("a", "1")]), key=())


def test_rows_that_are_not_in_the_store_are_not_found(store: ObjectStore) -> None:
    with pytest.raises(NotFound):
        fold(store, table.FoldInput(1, BatchKind.APPEND, "batches/none/rows.parquet"))


def test_a_fold_that_another_one_overtook_is_a_conflict_and_loses_nothing(
    store: ObjectStore, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = batches.put(1, "append", [("a", "1")]), batches.put(2, "append", [("b", "2")])
    fold(store, one)
    opened = table._open(store, table.table_key(RESOURCE))
    fold(store, two)
    monkeypatch.setattr(table, "_open", lambda *_: opened)
    with pytest.raises(Conflict, match="another fold"):
        fold(store, two)
    assert rows(store) == [(1, 1, "a", "1"), (2, 1, "b", "2")]
    monkeypatch.undo()
    assert fold(store, one, two).sequence == 2


def test_a_foreign_commit_in_between_is_a_conflict_too(store: ObjectStore, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    fold(store, batches.put(1, "append", [("a", "1")]))
    opened = table._open(store, table.table_key(RESOURCE))
    other = pl.DataFrame(
        [(9, 9, "x", "y")], schema={"sequence_": pl.Int64, "row_": pl.Int64, "Id": pl.String, "name": pl.String}, orient="row"
    )
    write_deltalake(
        DeltaTable(opened.table_uri, storage_options=store.storage_options),
        other,
        mode="append",
        commit_properties=CommitProperties(app_transactions=[Transaction("other", 1)]),
    )
    monkeypatch.setattr(table, "_open", lambda *_: opened)
    with pytest.raises(Conflict):
        fold(store, batches.put(2, "upsert", [("a", "2")]))


def test_earlier_versions_stay_readable(store: ObjectStore, batches: Batches) -> None:
    first = fold(store, batches.put(1, "append", [("a", "1")]))
    fold(store, batches.put(2, "snapshot", [("b", "2")]))
    assert rows(store, "Id", version=first.version) == [("a",)]
    with pytest.raises(NotFound):
        rows(store, version=99)


def test_pages_walk_over_every_row_once_in_order(store: ObjectStore, batches: Batches) -> None:
    state = fold(store, *(batches.put(n, "append", [(f"{n}-{i}", None) for i in range(n)]) for n in range(1, 6)))
    seen: list[tuple[object, ...]] = []
    after = None
    while True:
        page = Lookup(store, max_bytes=0).page(table.table_key(RESOURCE), state.version, after=after, limit=4, columns=("Id", "later"))
        if not page.height:
            break
        assert page.height <= 4
        seen += page.rows()
        after = page.select("sequence_", "row_").row(-1)
    assert [row[2] for row in seen] == [f"{n}-{i}" for n in range(1, 6) for i in range(n)]
    assert {row[3] for row in seen} == {None}


def test_pages_are_in_order_also_where_files_are_not(store: ObjectStore, batches: Batches) -> None:
    """As in tables whose files another program wrote: a later file holds rows that come earlier."""
    fold(store, batches.put(1, "append", []))
    folder = table.table_key(RESOURCE)
    opened = table._open(store, folder)
    assert opened is not None
    columns = {"sequence_": pl.Int64, "row_": pl.Int64, "Id": pl.String, "name": pl.String}
    for numbers in ((1, 3, 5, 8), (2, 4, 6, 7)):
        frame = pl.DataFrame([(1, number, str(number), None) for number in numbers], schema=columns, orient="row")
        added = table_files.write(store, folder, [frame])
        table_files.exchange(opened, added, (), CommitProperties(max_commit_retries=0))
    lookup = Lookup(store, max_bytes=1 << 20)
    first = lookup.page(folder, opened.version(), after=None, limit=3, columns=("Id",))
    assert first["Id"].to_list() == ["1", "2", "3"]
    assert lookup.page(folder, opened.version(), after=(1, 3), limit=3, columns=("Id",))["Id"].to_list() == ["4", "5", "6"]


def test_a_resource_without_a_table_has_no_state(store: ObjectStore) -> None:
    assert table.state(store, RESOURCE) is None
    with pytest.raises(NotFound):
        table.scan(store, table.table_key(RESOURCE))
