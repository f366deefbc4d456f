from pathlib import Path

import polars as pl
import pytest

from dxmesh_tabular.writing import write_parquet
from exchange_svc.batch.errors import StorageFull
from exchange_svc.batch.staging import Staging, room


def test_a_place_is_empty_and_gone_afterwards(tmp_path: Path) -> None:
    staging = Staging.open(tmp_path)
    with staging.place() as place:
        place.body.write_bytes(b"x")
    assert not place.body.exists()
    with pytest.raises(ZeroDivisionError), staging.place() as place:  # noqa: PT012  # the place is left by the error
        for path in (place.body, place.file, place.rows, place.refused):
            path.write_bytes(b"x")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.glob("*/*")] == ["lock"]
    staging.close()
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_remove_each_others_bodies(tmp_path: Path) -> None:
    first = Staging.open(tmp_path)
    with first.place() as place:
        place.body.write_bytes(b"x")
        Staging.open(tmp_path).close()
        assert place.body.read_bytes() == b"x"
    first.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_named_with_its_remedy() -> None:
    with pytest.raises(StorageFull, match="free space") as full, room(), Path("/dev/full").open("wb") as file:
        file.write(b"x" * 100_000)
    assert full.value.status == 503


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_disk_that_is_full_while_columns_are_written_is_named_too() -> None:
    frame = pl.DataFrame({"n": range(1_000_000)})
    with pytest.raises(StorageFull), room():
        write_parquet([frame], Path("/dev/full"), schema=frame.schema)


def test_other_faults_of_the_disk_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), room():
        (tmp_path / "nowhere" / "file").write_bytes(b"")
