"""A folded table holds what a plain list of rows would, in whatever groups batches come, and a table rebuilt from them is equal."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular import table, table_files, table_upkeep
from dxmesh_tabular.items import schema
from dxmesh_tabular.lookup import Lookup
from dxmesh_tabular.store import ObjectStore

RESOURCE = UUID(int=11)
KEY = ("id", "part")
ITEMS = (
    DataItem(code="id", name="编号", data_type=DataType.TEXT),
    DataItem(code="part", name="分号", data_type=DataType.INTEGER),
    DataItem(code="name", name="名称", data_type=DataType.TEXT),
    DataItem(code="amount", name="金额", data_type=DataType.MONEY),
)
Row = tuple[Any, ...]
Model = list[tuple[int, int, Row]]
row = st.tuples(
    st.sampled_from(["a", "b", "c", "长" * 70, "", None]),
    st.sampled_from([1, 2, -(2**53) - 1, None]),
    st.sampled_from(["甲", "乙", None]),
    st.just(None),
)
batch = st.tuples(st.sampled_from(list(BatchKind)), st.lists(row, max_size=7))


def apply(model: Model, sequence: int, kind: BatchKind, rows: list[Row]) -> Model:
    """Return the rows after a batch: what the table has to hold."""
    placed = [(sequence, number, row) for number, row in enumerate(rows, 1)]
    if kind is BatchKind.SNAPSHOT:
        return placed
    if kind is BatchKind.APPEND:
        return model + placed
    sent = {row[:2]: (sequence, number, row) for sequence, number, row in placed}
    left = [one for one in model if one[2][:2] not in sent]
    return left + (sorted(sent.values(), key=lambda one: one[1]) if kind is BatchKind.UPSERT else [])


def put(store: ObjectStore, folder: Path, sequence: int, kind: BatchKind, rows: list[Row]) -> table.FoldInput:
    path = folder / f"{sequence}.parquet"
    pl.DataFrame([(number, *row) for number, row in enumerate(rows, 1)], schema=schema(ITEMS), orient="row").write_parquet(path)
    store.put_file(f"batches/{sequence}.parquet", path)
    return table.FoldInput(sequence, kind, f"batches/{sequence}.parquet")


def held(store: ObjectStore, folder: str) -> Model:
    frame = table.scan(store, folder).select("sequence_", "row_", *(item.code for item in ITEMS)).sort("sequence_", "row_").collect()
    return [(row[0], row[1], row[2:]) for row in frame.rows()]


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(batch, max_size=12), cuts=st.sets(st.integers(1, 11)), tended=st.sets(st.integers(1, 11)))
@example(
    batches=[
        (BatchKind.SNAPSHOT, [("a", 1, "甲", None), ("a", 1, "乙", None), (None, None, "甲", None)]),
        (BatchKind.UPSERT, [("a", 1, "x", None), ("b", 1, "y", None), ("a", 1, "z", None)]),
        (BatchKind.UPSERT, [("b", 1, "w", None)]),
        (BatchKind.DELETE, [(None, None, None, None), ("c", 2, None, None)]),
        (BatchKind.SNAPSHOT, []),
        (BatchKind.APPEND, [("c", 2, None, None)]),
    ],
    cuts={1},
    tended={4},
)
def test_a_table_is_what_its_batches_make_of_a_list_and_so_is_a_rebuilt_one(
    batches: list[tuple[BatchKind, list[Row]]], cuts: set[int], tended: set[int]
) -> None:
    """cuts: where a group of batches that are folded together ends; tended: after which upkeep joins small files."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "FILE_ROWS", 4)
        store = ObjectStore.open((Path(name) / "store").as_uri())
        model: Model = []
        inputs = [put(store, Path(name), sequence, *one) for sequence, one in enumerate(batches, 1)]
        group: list[table.FoldInput] = []
        folder = table.table_key(RESOURCE)
        for sequence, ((kind, rows), one) in enumerate(zip(batches, inputs, strict=True), 1):
            model = apply(model, sequence, kind, rows)
            group.append(one)
            if sequence in cuts or sequence == len(batches):
                state = table.fold(store, RESOURCE, ITEMS, KEY, group)
                group = []
                assert held(store, folder) == sorted(model, key=lambda one: one[:2])
                assert (state.sequence, state.row_count) == (sequence, len(model))
                if sequence in tended and (joined := table_upkeep.join_small(store, folder, spare_files=1)) is not None:
                    table_upkeep.put_joined(store, folder, joined)
        if not batches:
            return
        rebuilt = table.table_key(RESOURCE, 1)
        table.fold(store, RESOURCE, ITEMS, KEY, inputs, folder=rebuilt)
        assert held(store, rebuilt) == held(store, folder) == sorted(model, key=lambda one: one[:2])
        files = table_files.list_files(DeltaTable(store.uri(folder)))
        assert all(file.row_count <= 4 for file in files)


@settings(max_examples=12, deadline=None)
@given(
    batches=st.lists(st.tuples(st.sampled_from([BatchKind.APPEND, BatchKind.UPSERT]), st.lists(row, max_size=6)), min_size=1, max_size=6),
    limit=st.integers(1, 9),
    kept_bytes=st.sampled_from([0, 200, 1 << 20]),
)
def test_pages_are_the_sorted_rows_cut_whatever_files_they_are_in(
    batches: list[tuple[BatchKind, list[Row]]], limit: int, kept_bytes: int
) -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "FILE_ROWS", 3)
        store = ObjectStore.open((Path(name) / "store").as_uri())
        folder = table.table_key(RESOURCE)
        for sequence, (kind, rows) in enumerate(batches, 1):
            state = table.fold(store, RESOURCE, ITEMS, KEY, [put(store, Path(name), sequence, kind, rows)])
        seen: list[tuple[Any, ...]] = []
        lookup = Lookup(store, max_bytes=kept_bytes)
        while True:
            after = seen[-1][:2] if seen else None
            page = lookup.page(folder, state.version, after=after, limit=limit, columns=("id", "part", "name", "amount"))
            seen += page.rows()
            if page.height < limit:
                break
        assert seen == [(sequence, number, *row) for sequence, number, row in held(store, folder)]
