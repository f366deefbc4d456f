"""`make bench-table`: a table of 16.75 million rows (a class of T3's mean size), changed and appended to, each step in a process.

Prints the rows `table_fold_*` and writes benchmarks/table.json. Takes some minutes and 3 GB of disk.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl

from benchmarks import data
from benchmarks.report import Row, machine, write
from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular import table, table_upkeep, writing
from dxmesh_tabular.items import ROW, schema
from dxmesh_tabular.lookup import Lookup
from dxmesh_tabular.store import ObjectStore

ROWS = 16_750_000
CHANGED = ROWS // 100
OUT = Path(__file__).with_name("table.json")
_ITEMS = tuple(DataItem.model_validate(item) for item in data.ITEMS)
_RESOURCE = UUID(int=3)
_FOLDER = table.table_key(_RESOURCE)
_PIECE = 1 << 17
_SMALL = 20


def _rows(numbers: range | list[int], note: str | None = None) -> Iterator[pl.DataFrame]:
    """Yield the rows of numbers in pieces, typed as a pushed file is kept."""
    place = 0
    for start in range(0, len(numbers), _PIECE):
        part = numbers[start : start + _PIECE]
        frame = data.numbered(pl.Series(part, dtype=pl.Int64))
        frame = frame.with_columns(
            pl.int_range(place + 1, place + len(part) + 1).alias(ROW),
            pl.col("changed_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"),
            pl.col("note") if note is None else pl.lit(note).alias("note"),
        )
        place += len(part)
        yield frame.select(pl.col(name).cast(kind) for name, kind in schema(_ITEMS).items())


def _steps() -> dict[str, tuple[BatchKind, range | list[int], str | None]]:
    chance = random.Random(7)
    return {
        "snapshot": (BatchKind.SNAPSHOT, range(ROWS), None),
        "upsert_1_percent": (BatchKind.UPSERT, sorted(chance.sample(range(ROWS), CHANGED)), "变更"),
        "append_1_percent": (BatchKind.APPEND, range(ROWS, ROWS + CHANGED), None),
        "append_100": (BatchKind.APPEND, range(ROWS + CHANGED, ROWS + CHANGED + 100), None),
        "upsert_100_near": (BatchKind.UPSERT, range(5_000_000, 5_000_100), "变更"),
        "upsert_100_spread": (BatchKind.UPSERT, sorted(chance.sample(range(ROWS), 100)), "变更"),
        **{f"small_{n}": (BatchKind.APPEND, range(ROWS * 2 + n * 100, ROWS * 2 + n * 100 + 100), None) for n in range(_SMALL)},
    }


def main() -> int:
    """Measure every step; print and write the figures."""
    if len(sys.argv) > 1:
        print(json.dumps(_step(ObjectStore.open(sys.argv[1]), sys.argv[2], int(sys.argv[3]), BatchKind(sys.argv[4]))))
        return 0
    print(f"machine: {machine()}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="dxmesh-table-", ignore_cleanup_errors=True) as name:
        store = ObjectStore.open((Path(name) / "store").as_uri())
        for sequence, (step, (kind, numbers, note)) in enumerate(_steps().items(), 1):
            path = Path(name) / "rows.parquet"
            writing.write_parquet(_rows(numbers, note), path, schema=schema(_ITEMS))
            store.put_file(f"batches/{sequence}.parquet", path)
            path.unlink()
            taken = _run(store, step, sequence, kind)
            if not step.startswith("small_"):
                rows += _figures(step, f"{kind.value} of {len(numbers):,} rows", taken)
        size = sum(one.byte_count for one in store.list_objects(_FOLDER))
        joined, removed = _run(store, "join", 0, BatchKind.APPEND), _run(store, "remove", 0, BatchKind.APPEND)
        rows += _figures("join", f"{_SMALL} small files joined beside the large ones", joined)
        left = sum(one.byte_count for one in store.list_objects(_FOLDER))
        page = _run(store, "page", 0, BatchKind.APPEND)
        rows.append(Row("table_fold_remove_seconds", f"{removed['files']} files of old versions removed", removed["seconds"], "s"))
        rows.append(
            Row(
                "table_fold_page_seconds",
                "a page of 1,000 rows from the middle, nothing of the table in memory before",
                page["seconds"],
                "s",
            )
        )
        rows.append(Row("table_fold_size_mb", f"the newest version, {ROWS + CHANGED:,} rows and more", left / 1e6, "MB"))
        rows.append(Row("table_fold_size_with_old_mb", "with every old version of the day", size / 1e6, "MB"))
    for row in rows:
        print(row.line())
    write(rows, OUT)
    return 0


def _figures(step: str, work: str, taken: dict[str, Any]) -> list[Row]:
    work = f"{work}, table of {ROWS:,}"
    return [
        Row(f"table_fold_{step}_seconds", work, taken["seconds"], "s"),
        Row(f"table_fold_{step}_cpu_seconds", work, taken["cpu_seconds"], "s"),
        Row(
            f"table_fold_{step}_peak_mb",
            f"{work}: peak of the process, {taken['rest_mb']:.0f} MB before it",
            taken["peak_mb"],
            "MB",
            "<= 400",
        ),
    ]


def _run(store: ObjectStore, step: str, sequence: int, kind: BatchKind) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.table_fold", store.url, step, str(sequence), kind.value]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"  {step:<20} {found['seconds']:8.2f} s, processor {found['cpu_seconds']:7.2f} s, peak {found['peak_mb']:6.0f} MB", flush=True)
    return found


def _step(store: ObjectStore, step: str, sequence: int, kind: BatchKind) -> dict[str, Any]:
    """Do one step and return seconds, processor seconds and peak memory of this process."""
    rest, begun, used, files = _peak_mb(), time.perf_counter(), time.process_time(), 0
    if step == "join":
        joined = table_upkeep.join_small(store, _FOLDER, spare_files=2)
        assert joined is not None
        table_upkeep.put_joined(store, _FOLDER, joined)
    elif step == "remove":
        later = datetime.now(UTC) + timedelta(seconds=1)
        files = table_upkeep.remove_old(store, _FOLDER, kept=timedelta(), told_version=_newest(store).version, now=later).data_files
    elif step == "page":
        state = _newest(store)
        begun, used = time.perf_counter(), time.process_time()
        lookup = Lookup(store, max_bytes=256 << 20)
        page = lookup.page(_FOLDER, state.version, after=(1, ROWS // 2), limit=1000, columns=["id", "name", "note"])
        assert page.height == 1000
    else:
        table.fold(store, _RESOURCE, _ITEMS, ("id",), [table.FoldInput(sequence, kind, f"batches/{sequence}.parquet")])
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - used,
        "rest_mb": rest,
        "peak_mb": _peak_mb(),
        "files": files,
    }


def _newest(store: ObjectStore) -> table.TableState:
    found = table.state(store, _RESOURCE)
    assert found is not None
    return found


def _peak_mb() -> float:
    """Return the most memory this process had; getrusage would tell that of the one it was forked from."""
    line = next(line for line in Path("/proc/self/status").read_text("utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
