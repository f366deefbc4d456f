"""A snapshot of a million rows with what a department's file may hold: a key twice, rows without a key; and the memory folds take."""

import json
import subprocess
import sys
from pathlib import Path

MOST_MB = 400  # of the whole process; about 280 are used, 110 of them before the first fold
_FOLD = """
import json, sys
from pathlib import Path
from uuid import UUID
import polars as pl
from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular import table, writing
from dxmesh_tabular.items import schema
from dxmesh_tabular.store import ObjectStore

ROWS, TWICE = 1_000_000, 700_000
work = Path(sys.argv[1])
store = ObjectStore.open((work / "store").as_uri())
items = [DataItem(code=code, name=code, data_type=DataType.TEXT) for code in ("id", "name", "place", "note")]
resource = UUID(int=1)


def rows(numbers, note="登记机关核准"):
    for start in range(0, len(numbers), 100_000):
        n = pl.col("n")
        frame = pl.DataFrame({"n": numbers[start : start + 100_000]}, schema={"n": pl.Int64})
        yield frame.with_row_index("row_", start + 1).select(
            "row_",
            pl.when(n >= 0).then(pl.format("33060200-{}", n + 10_000_000)).alias("id"),
            pl.format("示例市第{}号企业有限责任公司", n).alias("name"),
            pl.format("示例省示例市示例区人民路{}号创新大厦A座", n % 9999).alias("place"),
            pl.lit(note).alias("note"),
        )


def fold(sequence, kind, frames):
    writing.write_parquet(frames, work / "rows.parquet", schema=schema(items))
    store.put_file(f"batches/{sequence}.parquet", work / "rows.parquet")
    (work / "rows.parquet").unlink()
    batch = table.FoldInput(sequence, BatchKind(kind), f"batches/{sequence}.parquet")
    return table.fold(store, resource, items, ("id",), [batch]).row_count


def count(where):
    return table.scan(store, table.table_key(resource)).filter(where).select(pl.len()).collect().item()


sent = list(range(ROWS))
sent[10] = sent[21] = sent[999_998] = -1  # rows without a key
sent[-7] = TWICE
key = pl.col("id") == f"33060200-{10_000_000 + TWICE}"
said = {"snapshot": fold(1, "snapshot", rows(sent)), "twice": count(key), "without": count(pl.col("id").is_null())}
said["upserted"] = fold(2, "upsert", rows([*range(0, ROWS, 97), TWICE, TWICE], "changed"))
said |= {"once": count(key), "changed": count(pl.col("note") == "changed")}
said["unknown"] = fold(3, "delete", rows(range(2 * ROWS, 2 * ROWS + 1000)))
said["nameless"] = fold(4, "delete", rows([-1]))
said["empty"] = fold(5, "snapshot", rows([]))
status = Path("/proc/self/status").read_text().splitlines()
said["peak_mb"] = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
print(json.dumps(said))
"""


def test_a_million_rows_with_a_key_twice_and_rows_without_one(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", _FOLD, str(tmp_path)], check=True, capture_output=True, text=True)
    said = json.loads(run.stdout)
    peak_mb = said.pop("peak_mb")
    assert said == {
        "snapshot": 1_000_000,
        "twice": 2,  # rows come as they were accepted: whether a key may stand twice, quality-svc's rules say
        "without": 3,
        "upserted": 999_999,
        "once": 1,
        "changed": len(range(0, 1_000_000, 97)) + 1,
        "unknown": 999_999,
        "nameless": 999_996,
        "empty": 0,
    }
    assert peak_mb < MOST_MB
