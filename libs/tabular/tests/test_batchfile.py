"""A sent file into a batch's two Parquet files, whole and in bounded memory."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import Invalid, Unreadable, UnsupportedMedia
from dxmesh_tabular.batchfile import store_batch
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.items import REFUSED_SCHEMA, schema
from dxmesh_tabular.media import MediaType, parse_content_type
from dxmesh_tabular.store import sha256_of

ITEMS = [DataItem(code="a", name="a", data_type=DataType.TEXT), DataItem(code="n", name="n", data_type=DataType.INTEGER)]


def test_rows_and_refused_lines_are_counted_and_stored(tmp_path: Path) -> None:
    sent, rows, refused = tmp_path / "sent", tmp_path / "rows.parquet", tmp_path / "refused.parquet"
    sent.write_text("a,n\nx,1\ny\nz,two\nw,4\n" * 1)
    stored = store_batch(sent, MediaType.CSV, ITEMS, rows_to=rows, refused_to=refused)
    assert (stored.rows_count, stored.refused_row_count, stored.refused_line_count, stored.received_count) == (2, 2, 2, 4)
    assert (stored.rows_sha256, stored.rows_bytes) == (sha256_of(rows), rows.stat().st_size)
    assert pl.read_parquet(rows).schema == schema(ITEMS)
    assert pl.read_parquet(rows).rows() == [(1, "x", 1), (4, "w", 4)]
    assert pl.read_parquet(refused).schema == REFUSED_SCHEMA
    assert pl.read_parquet(refused)["row"].to_list() == [2, 3]


def test_without_refused_lines_there_is_no_refused_file(tmp_path: Path) -> None:
    (tmp_path / "sent").write_text("a,n\nx,1\n")
    store_batch(tmp_path / "sent", MediaType.CSV, ITEMS, rows_to=tmp_path / "rows", refused_to=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_a_file_of_many_blocks_keeps_its_order(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.write_text("a,n\n" + "".join(f"x{n},{n if n % 1000 else 'bad'}\n" for n in range(1, 50_001)))
    options = ReadOptions(block_bytes=1 << 15)
    stored = store_batch(sent, MediaType.CSV, ITEMS, options=options, rows_to=tmp_path / "rows", refused_to=tmp_path / "refused")
    assert (stored.rows_count, stored.refused_row_count) == (49_950, 50)
    rows = pl.read_parquet(tmp_path / "rows")
    assert rows["row_"].to_list() == [n for n in range(1, 50_001) if n % 1000]
    assert (rows["row_"].cast(pl.Int64) == rows["n"]).all()
    assert pl.read_parquet(tmp_path / "refused")["row"].to_list() == list(range(1000, 50_001, 1000))


def test_a_file_that_turns_bad_far_behind_is_a_problem(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.write_text("[" + ",".join(['{"a":"x"}'] * 50_000) + ",oops]")
    with pytest.raises(Unreadable, match="data row 50001"):
        store_batch(
            sent,
            MediaType.JSON,
            ITEMS,
            options=ReadOptions(block_bytes=1 << 15),
            rows_to=tmp_path / "rows",
            refused_to=tmp_path / "refused",
        )
    sent.write_text("a,b\n1,2\n")
    with pytest.raises(Invalid):
        store_batch(sent, MediaType.CSV, ITEMS, rows_to=tmp_path / "rows", refused_to=tmp_path / "refused")


BOUNDED = """
import sys
from pathlib import Path
from dxmesh_schemas.catalog import DataItem
from dxmesh_tabular.batchfile import store_batch
from dxmesh_tabular.media import MediaType

folder = Path(sys.argv[1])
items = [DataItem(code=code, name=code, data_type="C") for code in "abc"]
stored = store_batch(folder / "sent", MediaType(sys.argv[2]), items, rows_to=folder / "rows", refused_to=folder / "refused")
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss would begin at the parent's
print(stored.received_count, peak // 1024)
"""


@pytest.mark.parametrize(
    ("media", "head", "line"),
    [
        (MediaType.CSV, "a,b,c\n", "{n},浙江省绍兴市越城区府山街道解放路{n}号{long},x{n}\n"),
        (MediaType.NDJSON, "", '{{"a":"{n}","b":"浙江省绍兴市越城区府山街道解放路{n}号{long}","c":"x{n}"}}\n'),
    ],
    ids=["csv", "ndjson"],
)
def test_a_large_file_is_stored_in_bounded_memory(tmp_path: Path, media: MediaType, head: str, line: str) -> None:
    """Resident megabytes of the whole process, for a file that would not fit: its bytes and its cells alone take 400."""
    with (tmp_path / "sent").open("w") as file:
        file.write(head)
        number = 0
        while file.tell() < 200 << 20:
            file.write("".join(line.format(n=n, long="楼" * 100) for n in range(number, number + 20_000)))
            number += 20_000
    done = subprocess.run([sys.executable, "-c", BOUNDED, str(tmp_path), media.value], capture_output=True, text=True, check=True)
    received, megabytes = map(int, done.stdout.split())
    assert received == number
    assert megabytes < 450


def test_content_types_are_understood() -> None:
    assert parse_content_type("text/csv; charset=GBK") == (MediaType.CSV, "GBK", None)
    assert parse_content_type("text/tab-separated-values") == (MediaType.CSV, None, "\t")
    assert parse_content_type("Application/X-NDJSON").media is MediaType.NDJSON
    for wrong in (None, "", "text/html", "nonsense", "application/pdf; x=y"):
        with pytest.raises(UnsupportedMedia, match="text/csv"):
            parse_content_type(wrong)
