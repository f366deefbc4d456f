"""Reading rows of tables by their values and page by page: what is found is what a scan finds, and memory stays within its bound."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import pytest

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular import table
from dxmesh_tabular.lookup import Lookup
from dxmesh_tabular.store import ObjectStore

ITEMS = (
    DataItem(code="area", name="区划", data_type=DataType.TEXT),
    DataItem(code="code", name="代码", data_type=DataType.TEXT),
    DataItem(code="people", name="人数", data_type=DataType.INTEGER),
    DataItem(code="since", name="日期", data_type=DataType.DATE),
)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore.open(tmp_path.as_uri())


@pytest.fixture
def folded(store: ObjectStore, tmp_path: Path) -> Callable[..., table.TableState]:
    def fold(resource_id: UUID, sequence: int, rows: dict[str, list[Any]], kind: BatchKind = BatchKind.APPEND) -> table.TableState:
        frame = pl.DataFrame(rows, schema_overrides={"people": pl.Int64, "since": pl.Date})
        frame = frame.with_columns(pl.int_range(1, frame.height + 1, dtype=pl.UInt32).alias("row_"))
        path, key = tmp_path / "rows.parquet", f"batches/{uuid4()}/rows.parquet"
        frame.write_parquet(path)
        store.put_file(key, path, row_count=frame.height)
        return table.fold(store, resource_id, ITEMS, ["area", "code"], [table.FoldInput(sequence, kind, key)])

    return fold


def rows(areas: list[str | None], codes: list[str | None], people: int = 1) -> dict[str, list[Any]]:
    return {"area": areas, "code": codes, "people": [people] * len(codes), "since": [date(2001, 5, 1)] * len(codes)}


def test_rows_are_found_by_every_column_in_every_file_and_no_others(store: ObjectStore, folded: Any) -> None:
    resource = uuid4()
    folded(resource, 1, rows(["1", "1", "2", None], ["b", "a", "a", "é"]))
    state = folded(resource, 2, rows(["1", "3"], ["a", None], people=2))
    lookup, key = Lookup(store, max_bytes=1 << 20), table.table_key(resource)

    def found(**equal: Any) -> list[Any]:
        return sorted(lookup.rows(key, state.version, equal, ["people", "area"]).rows(), key=str)

    assert found(code="a") == [(1, "1"), (1, "2"), (2, "1")]
    assert found(code="a", area="1") == [(1, "1"), (2, "1")]
    assert found(code="é") == [(1, None)]
    assert found(people=2, area="3") == [(2, "3")]
    assert len(found(since=date(2001, 5, 1))) == 6
    assert found(code="c") == found(code="") == found(area="1", code="c") == found(people=3) == []


def test_a_version_stays_what_it_was_and_a_fold_costs_its_own_files(store: ObjectStore, folded: Any) -> None:
    resource = uuid4()
    before = folded(resource, 1, rows(["1"], ["a"]))
    lookup, key = Lookup(store, max_bytes=1 << 20), table.table_key(resource)
    assert lookup.rows(key, before.version, {"code": "a"}, ["people"]).rows() == [(1,)]
    held = lookup.kept_bytes
    after = folded(resource, 2, rows(["1"], ["a"], people=5), BatchKind.UPSERT)
    assert lookup.rows(key, after.version, {"code": "a"}, ["people"]).rows() == [(5,)]
    assert lookup.rows(key, before.version, {"code": "a"}, ["people"]).rows() == [(1,)]
    assert lookup.kept_bytes == 2 * held


@dataclass(frozen=True)
class AtLeast:
    """A filter, with what it was asked for: once a file, unless that is forgotten."""

    people: int
    asked: list[int] = field(default_factory=list, compare=False)

    def __call__(self, held: pl.Schema) -> pl.Expr:
        self.asked.append(self.people)
        return pl.col("people") >= self.people


def test_pages_keep_what_passes_of_a_file_and_read_it_once(store: ObjectStore, folded: Any) -> None:
    resource = uuid4()
    for sequence in (1, 2, 3):
        state = folded(resource, sequence, rows([str(sequence)] * 10, [str(n) for n in range(10)]) | {"people": list(range(10))})
    lookup, key = Lookup(store, max_bytes=1 << 20), table.table_key(resource)
    asked: list[int] = []
    for least, expected in ((8, 2), (5, 5), (8, 2)):
        seen: list[tuple[Any, ...]] = []
        while True:
            after = seen[-1][:2] if seen else None
            page = lookup.page(key, state.version, after=after, limit=3, columns=["area", "code"], where=AtLeast(least, asked))
            seen += page.rows()
            if page.height < 3:
                break
        assert [row[2:] for row in seen] == [(str(file), str(n)) for file in (1, 2, 3) for n in range(10 - expected, 10)]
    assert sorted(asked) == [5, 5, 5, 8, 8, 8]


def test_a_file_that_a_page_takes_whole_is_not_kept_for_it(store: ObjectStore, folded: Any) -> None:
    resource = uuid4()
    folded(resource, 1, rows(["1"] * 10, [str(n) for n in range(10)]))
    state = folded(resource, 2, rows(["1"] * 10, [str(n) for n in range(10, 20)]))
    lookup, key = Lookup(store, max_bytes=1 << 20), table.table_key(resource)
    assert lookup.page(key, state.version, after=None, limit=20, columns=["code"]).height == 20
    assert lookup.kept_bytes == 0
    assert lookup.page(key, state.version, after=None, limit=10, columns=["code"]).height == 10
    assert lookup.kept_bytes == 0
    assert lookup.page(key, state.version, after=(1, 5), limit=10, columns=["code"])["code"].to_list() == [str(n) for n in range(5, 15)]
    assert lookup.kept_bytes > 0


def test_what_was_removed_from_the_store_is_read_no_longer_than_it_is_not_looked_at(store: ObjectStore, folded: Any) -> None:
    resource = uuid4()
    state = folded(resource, 1, rows(["1"] * 10, [str(n) for n in range(10)]))
    key = table.table_key(resource)
    kept, seen = Lookup(store, max_bytes=1 << 20, look_seconds=3600), Lookup(store, max_bytes=1 << 20, look_seconds=0)
    for lookup in (kept, seen):
        for _ in range(2):
            assert lookup.page(key, state.version, after=None, limit=2, columns=["code"]).height == 2
            assert lookup.rows(key, state.version, {"code": "3"}, ["people"]).height == 1
    for file in Path(store.uri(key)).glob("*.parquet"):
        file.unlink()
    assert kept.page(key, state.version, after=(1, 2), limit=2, columns=["code"])["code"].to_list() == ["2", "3"]
    for read in (
        lambda: seen.page(key, state.version, after=None, limit=2, columns=["code"]),
        lambda: seen.rows(key, state.version, {"code": "3"}, ["people"]),
    ):
        with pytest.raises(FileNotFoundError):
            read()
    assert seen.kept_bytes == 0


def test_memory_stays_within_its_bound_and_what_has_no_room_is_found_all_the_same(store: ObjectStore, folded: Any) -> None:
    resources = [uuid4() for _ in range(5)]
    states = [folded(resource, 1, rows(["1"] * 100, [f"{n:03}" for n in range(100)])) for resource in resources]
    one = Lookup(store, max_bytes=1 << 20)
    one.rows(table.table_key(resources[0]), states[0].version, {"code": "001"}, ["people"])
    small = Lookup(store, max_bytes=2 * one.kept_bytes)
    for _ in range(2):
        for resource, state in zip(resources, states, strict=True):
            assert small.rows(table.table_key(resource), state.version, {"code": "042"}, ["people"]).height == 1
            assert small.kept_bytes <= 2 * one.kept_bytes
    none = Lookup(store, max_bytes=0)
    assert none.rows(table.table_key(resources[0]), states[0].version, {"code": "042"}, ["people"]).height == 1
    assert none.kept_bytes == 0
