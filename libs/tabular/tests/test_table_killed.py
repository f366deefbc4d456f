"""A process that folds or tends a table is killed with -9 at every step: the table is whole, and doing it again makes it right."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import polars as pl
import pytest
from deltalake import DeltaTable

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular import table, table_upkeep
from dxmesh_tabular.items import schema
from dxmesh_tabular.store import ObjectStore

RESOURCE = UUID(int=13)
FOLDER = table.table_key(RESOURCE)
ITEMS = (DataItem(code="id", name="编号", data_type=DataType.INTEGER), DataItem(code="name", name="名称", data_type=DataType.TEXT))
FOLD = "table.fold(store, RESOURCE, ITEMS, ('id',), [table.FoldInput(5, BatchKind.UPSERT, 'batches/5.parquet')])"
JOIN = "table_upkeep.put_joined(store, FOLDER, table_upkeep.join_small(store, FOLDER, spare_files=1))"
REMOVE = "table_upkeep.remove_old(store, FOLDER, kept=timedelta(), told_version=8, now=datetime.now(UTC) + timedelta(seconds=1))"
_CHILD = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from uuid import UUID
from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular import store as stores, table, table_files, table_upkeep

_, url, place, name, work = sys.argv
RESOURCE = UUID(int=13)
FOLDER = table.table_key(RESOURCE)
ITEMS = (DataItem(code="id", name="id", data_type=DataType.INTEGER), DataItem(code="name", name="name", data_type=DataType.TEXT))
store = stores.ObjectStore.open(url)
home = {"write": table_files, "exchange": table_files, "delete": stores.ObjectStore}[name]
plain = getattr(home, name)


def killed(*arguments, **options):
    if place == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    plain(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)


setattr(home, name, killed)
eval(work)
"""


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """A store with a table of four batches, and a fifth that waits."""
    store = ObjectStore.open((tmp_path / "store").as_uri())
    for sequence, (kind, rows) in enumerate(
        [("append", [(1, "a"), (2, "b")]), ("append", [(3, "c")]), ("upsert", [(2, "B")]), ("append", [(4, "d")]), ("upsert", [(3, "C")])],
        1,
    ):
        path = tmp_path / "rows.parquet"
        pl.DataFrame([(number, *row) for number, row in enumerate(rows, 1)], schema=schema(ITEMS), orient="row").write_parquet(path)
        store.put_file(f"batches/{sequence}.parquet", path)
        path.unlink()
        if sequence < 5:
            table.fold(store, RESOURCE, ITEMS, ("id",), [table.FoldInput(sequence, BatchKind(kind), f"batches/{sequence}.parquet")])
    return store


def kill(store: ObjectStore, place: str, name: str, work: str) -> None:
    """Do some work in a process that is killed before or after its first call of a function."""
    done = subprocess.run([sys.executable, "-c", _CHILD, store.url, place, name, work], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


def names(store: ObjectStore, version: int | None = None) -> list[str]:
    return list(table.scan(store, FOLDER, version=version).sort("sequence_", "row_").collect()["name"])


def fold(store: ObjectStore) -> table.TableState:
    return table.fold(store, RESOURCE, ITEMS, ("id",), [table.FoldInput(5, BatchKind.UPSERT, "batches/5.parquet")])


@pytest.mark.parametrize(("place", "name"), [("before", "write"), ("after", "write"), ("before", "exchange"), ("after", "exchange")])
def test_a_fold_that_is_killed_takes_effect_once(store: ObjectStore, place: str, name: str) -> None:
    kill(store, place, name, FOLD)
    committed = (place, name) == ("after", "exchange")
    assert names(store) == (["a", "B", "d", "C"] if committed else ["a", "c", "B", "d"])
    state = fold(store)
    assert (state.sequence, state.row_count, state.version) == (5, 4, 5)
    assert names(store) == ["a", "B", "d", "C"]


@pytest.mark.parametrize(("place", "name"), [("before", "exchange"), ("after", "exchange")])
def test_a_joining_that_is_killed_changes_no_row(store: ObjectStore, place: str, name: str) -> None:
    kill(store, place, name, JOIN)
    assert names(store) == names(store, version=4) == ["a", "c", "B", "d"]
    assert fold(store).row_count == 4
    if (joined := table_upkeep.join_small(store, FOLDER, spare_files=1)) is not None:
        table_upkeep.put_joined(store, FOLDER, joined)
    assert names(store) == ["a", "B", "d", "C"]


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_removal_that_is_killed_goes_on_with_the_next(store: ObjectStore, place: str) -> None:
    fold(store)
    kill(store, "before", "exchange", JOIN)
    kill(store, place, "delete", REMOVE)
    assert names(store) == ["a", "B", "d", "C"]
    later = datetime.now(UTC) + timedelta(seconds=1)
    left = table_upkeep.remove_old(store, FOLDER, kept=timedelta(), told_version=5, now=later)
    assert left.data_files == (3 if place == "before" else 2)
    needed = {f"{FOLDER}/{path.rsplit('/', 1)[-1]}" for path in _files(store)}
    assert {one.key for one in store.list_objects(FOLDER) if "_delta_log" not in one.key} == needed
    table_upkeep.check(store, FOLDER)


def _files(store: ObjectStore) -> list[str]:
    return DeltaTable(store.uri(FOLDER)).file_uris()
