"""Upkeep of a table beside its folds and readers: what is joined, what is removed, what is found damaged."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import polars as pl
import pytest
from deltalake import DeltaTable

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.problem import Conflict, NotFound
from dxmesh_tabular import table, table_files, table_upkeep
from dxmesh_tabular.items import schema
from dxmesh_tabular.lookup import Lookup
from dxmesh_tabular.store import ObjectStore

RESOURCE = UUID(int=12)
FOLDER = table.table_key(RESOURCE)
ITEMS = (DataItem(code="id", name="编号", data_type=DataType.INTEGER), DataItem(code="name", name="名称", data_type=DataType.TEXT))
KEPT = timedelta(hours=3)


class Table:
    """A table with a store of its own, and a clock that can be turned back for what lies there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "store"
        self.store = ObjectStore.open(self.root.as_uri())
        self.work = folder
        self.sequence = 0

    def fold(self, kind: str, *rows: tuple[object, ...], sequence: int | None = None) -> table.TableState:
        self.sequence = self.sequence + 1 if sequence is None else sequence
        path = self.work / f"{self.sequence}.parquet"
        pl.DataFrame([(number, *row) for number, row in enumerate(rows, 1)], schema=schema(ITEMS), orient="row").write_parquet(path)
        key = f"batches/{self.sequence}.parquet"
        self.store.put_file(key, path)
        return table.fold(self.store, RESOURCE, ITEMS, ("id",), [table.FoldInput(self.sequence, BatchKind(kind), key)])

    def names(self, version: int | None = None) -> list[str]:
        return list(table.scan(self.store, FOLDER, version=version).sort("sequence_", "row_").collect()["name"])

    def files(self) -> int:
        return len(list((self.root / FOLDER).glob("*.parquet")))

    def held(self) -> list[table_files.DataFile]:
        return table_files.list_files(DeltaTable(self.store.uri(FOLDER)))

    def join(self) -> table_upkeep.Joined:
        joined = table_upkeep.join_small(self.store, FOLDER, spare_files=1)
        assert joined is not None
        return joined

    def remove_old(self, told_version: int, *, later: timedelta = timedelta()) -> table_upkeep.Removed:
        """Remove as if it were later: what lies there, and what its log says, is that much older."""
        for path in (self.root / FOLDER).rglob("*"):
            at = time.time() - later.total_seconds()
            os.utime(path, (at, at))
            if path.suffix == ".json" and later:
                shifted = int(later.total_seconds() * 1000)
                path.write_text(
                    "\n".join(_shifted(line, shifted) for line in path.read_text(encoding="utf-8").splitlines()), encoding="utf-8"
                )
                os.utime(path, (at, at))
        return table_upkeep.remove_old(self.store, FOLDER, kept=KEPT, told_version=told_version, now=datetime.now(UTC))


def _shifted(line: str, by_ms: int) -> str:
    mark = '"deletionTimestamp":'
    if mark not in line:
        return line
    before, _, rest = line.partition(mark)
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{before}{mark}{int(digits) - by_ms}{rest[len(digits) :]}"


@pytest.fixture
def one(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_small_files_are_joined_and_every_version_stays_as_it_was(one: Table) -> None:
    states = [one.fold("append", (number, f"n{number}")) for number in range(6)]
    version = table_upkeep.put_joined(one.store, FOLDER, one.join())
    assert (len(one.held()), version) == (1, states[-1].version + 1)
    assert one.names() == one.names(states[-1].version) == [f"n{number}" for number in range(6)]
    assert one.names(states[2].version) == ["n0", "n1", "n2"]
    assert table.state(one.store, RESOURCE) == table.TableState(version, 6, 6)
    assert one.fold("upsert", (3, "new")).row_count == 6


def test_too_few_small_files_are_left(one: Table) -> None:
    for number in range(4):
        one.fold("append", (number, "x"))
    assert table_upkeep.join_small(one.store, FOLDER, spare_files=4) is None
    assert table_upkeep.join_small(one.store, FOLDER, spare_files=3) is not None


def test_full_files_are_not_written_again(one: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "FILE_ROWS", 4)
    one.fold("append", *((number, "full") for number in range(8)))
    for number in range(8, 11):
        one.fold("append", (number, "small"))
    full = {file.path for file in one.held() if file.row_count == 4}
    table_upkeep.put_joined(one.store, FOLDER, one.join())
    assert len(full) == 2
    assert full < {file.path for file in one.held()}
    assert sorted(file.row_count for file in one.held()) == [3, 4, 4]


def test_a_fold_that_only_adds_goes_on_while_files_are_joined(one: Table) -> None:
    for number in range(4):
        one.fold("append", (number, f"n{number}"))
    joined = one.join()
    one.fold("append", (9, "meanwhile"))
    table_upkeep.put_joined(one.store, FOLDER, joined)
    assert one.names() == ["n0", "n1", "n2", "n3", "meanwhile"]
    assert len(one.held()) == 2


def test_a_fold_that_changed_a_joined_file_wins_and_nothing_is_left_behind(one: Table) -> None:
    for number in range(4):
        one.fold("append", (number, f"n{number}"))
    joined = one.join()
    one.fold("upsert", (2, "meanwhile"))
    before = one.files()
    with pytest.raises(Conflict, match="join again"):
        table_upkeep.put_joined(one.store, FOLDER, joined)
    assert one.names() == ["n0", "n1", "n3", "meanwhile"]
    assert one.files() == before - len(joined.adds)


def test_a_version_is_readable_until_its_time_is_over_and_gone_then(one: Table) -> None:
    old = one.fold("append", (1, "old"))
    new = one.fold("snapshot", (1, "new"))
    assert one.remove_old(new.version) == table_upkeep.Removed(0, 0, 0)
    assert one.names(old.version) == ["old"]
    removed = one.remove_old(new.version, later=KEPT + timedelta(hours=1))
    assert (removed.data_files, removed.byte_count > 0) == (1, True)
    with pytest.raises((NotFound, FileNotFoundError)):
        one.names(old.version)
    with pytest.raises((NotFound, FileNotFoundError)):
        Lookup(one.store, max_bytes=0).page(FOLDER, old.version, after=None, limit=1, columns=("name",))
    assert one.names() == ["new"]


def test_the_version_that_others_were_told_of_stays_however_old(one: Table) -> None:
    for number in range(3):
        told = one.fold("append", (number, f"n{number}"))
    table_upkeep.put_joined(one.store, FOLDER, one.join())
    assert one.remove_old(told.version, later=KEPT + timedelta(hours=1)).data_files == 0
    assert one.names(told.version) == ["n0", "n1", "n2"]
    assert one.remove_old(told.version + 1).data_files == 3
    assert one.names() == ["n0", "n1", "n2"]


def test_what_a_killed_fold_left_is_removed_when_no_fold_can_be_at_it_any_more(one: Table) -> None:
    state = one.fold("append", (1, "x"))
    left = one.root / FOLDER / "part-left.parquet"
    left.write_bytes(b"half a file")
    assert one.remove_old(state.version).data_files == 0
    assert left.exists()
    assert one.remove_old(state.version, later=KEPT + timedelta(hours=1)).data_files == 1
    assert (left.exists(), one.names()) == (False, ["x"])


def test_the_log_is_cut_at_a_checkpoint_that_serves_every_kept_version(one: Table) -> None:
    for number in range(60):
        state = one.fold("append", (number, f"n{number}"))
    log = one.root / FOLDER / "_delta_log"
    assert [path.name[18:20] for path in log.glob("*.checkpoint.parquet")] != []
    assert one.remove_old(state.version).log_files == 0
    begin = min(int(path.name[:20]) for path in log.glob("*.checkpoint.parquet"))
    removed = one.remove_old(state.version, later=KEPT + timedelta(hours=1))
    assert removed.log_files == begin
    assert one.names(begin) == [f"n{number}" for number in range(begin)]
    with pytest.raises(NotFound):
        one.names(begin - 1)
    assert table.state(one.store, RESOURCE) == table.TableState(60, 60, 60)
    assert one.fold("delete", (0, None)).row_count == 59


def test_of_an_old_log_what_the_told_version_needs_stays(one: Table) -> None:
    for number in range(60):
        state = one.fold("append", (number, f"n{number}"))
    assert one.remove_old(3, later=KEPT + timedelta(hours=1)).log_files == 0
    assert one.names(3) == ["n0", "n1", "n2"]
    assert state.version == 60


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_file_that_is_lost_or_cut_short_is_found(one: Table, damage: str) -> None:
    one.fold("append", (1, "a"))
    one.fold("append", (2, "b"))
    table_upkeep.check(one.store, FOLDER)
    path = one.root / FOLDER / one.held()[0].path
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(table.TableDamaged, match="1 of 2 files"):
        table_upkeep.check(one.store, FOLDER)
    with pytest.raises(table.TableDamaged, match="cannot be read"):
        one.fold("upsert", (1, "new"))


def test_a_log_that_cannot_be_read_is_damage_and_so_is_a_table_that_forgot(one: Table) -> None:
    state = one.fold("append", (1, "a"))
    log = one.root / FOLDER / "_delta_log"
    with pytest.raises(table.TableDamaged, match="up to 1, and held those up to 2"):
        table.fold(one.store, RESOURCE, ITEMS, (), [table.FoldInput(3, BatchKind.APPEND, "batches/1.parquet")], held=2)
    (log / f"{state.version:020}.json").write_text("{not json", encoding="utf-8")
    with pytest.raises(table.TableDamaged, match="cannot be read"):
        one.fold("append", (2, "b"))


def test_a_table_that_takes_anothers_place_goes_on_from_its_numbers(one: Table) -> None:
    one.fold("snapshot", (1, "a"), (2, "b"))
    one.fold("delete", (1, None))
    assert table_upkeep.go_on_from(one.store, FOLDER, 41) == 41
    assert table.state(one.store, RESOURCE) == table.TableState(41, 2, 1)
    with pytest.raises(NotFound):
        one.names(2)
    assert one.fold("upsert", (2, "c")).version == 42
    assert (one.names(41), one.names()) == (["b"], ["c"])
    assert table_upkeep.go_on_from(one.store, FOLDER, 7) == 43
    assert one.names() == ["c"]
    assert [row["operation"] for row in DeltaTable(one.store.uri(FOLDER)).history(1)]


def test_a_folder_that_was_replaced_is_removed_after_its_time(one: Table) -> None:
    one.fold("append", (1, "a"))
    now = datetime.now(UTC)
    table_upkeep.remove_folder(one.store, FOLDER, kept=KEPT, now=now)
    assert one.names() == ["a"]
    table_upkeep.remove_folder(one.store, FOLDER, kept=KEPT, now=now + KEPT + timedelta(minutes=1))
    assert list(one.store.list_objects(FOLDER)) == []
