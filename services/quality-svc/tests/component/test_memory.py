"""A big batch is checked in bounded memory: measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dxmesh_tabular.items import schema
from quality_svc.assessment.columns import CHUNK_ROWS

ROWS = 1_000_000
BOUND_MB = 400
PROGRAM = """
import json
import sys
from pathlib import Path
from uuid import UUID
from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.exchange import BatchKind
from quality_svc.assessment.checking import Plan, Work, check
from quality_svc.rule.domain import rules_of
from quality_svc.rule.known import Facts
from dxmesh_schemas.catalog import ResourceSnapshot

def peak_kb():  # of this process alone: ru_maxrss would begin at the parent's
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))

snapshot = ResourceSnapshot.model_validate_json(sys.argv[1])
rows, folder, count = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
small = folder / "small.parquet"
import polars as pl
pl.scan_parquet(rows).head(100).collect().write_parquet(small)
plan = Plan(snapshot, rules_of(snapshot, BatchKind.APPEND), Facts())
check(plan, [Work(UUID(int=1), 100, small, 100, None, 0)], folder)
before = peak_kb()
[checked] = check(plan, [Work(UUID(int=2), count, rows, count, None, 0)], folder)
after = peak_kb()
print(json.dumps({"mb": (after - before) / 1024, "bad": checked.bad_row_count, "accepted": checked.accepted_count}))
"""


@pytest.mark.parametrize("bad_every", [1000, 2])
def test_a_million_rows_stay_within_the_bound_few_bad_or_many(make_resource, tmp_path: Path, bad_every: int) -> None:
    items = [
        {"code": "code", "name": "代码", "data_type": "C", "length": 20, "pattern": r"\d+"},
        {"code": "name", "name": "名称", "data_type": "C", "required": True, "length": 60},
        {"code": "memo", "name": "备注", "data_type": "M", "length": 180},
        {"code": "count", "name": "人数", "data_type": "I", "minimum": 0},
    ]
    resource = make_resource(*items, key=("code",))
    rows = tmp_path / "rows.parquet"
    number = pl.int_range(ROWS, dtype=pl.Int64)
    frame = pl.select(
        row_=(number + 1).cast(pl.UInt32),
        code=(number * 7 + 10**17).cast(pl.String),
        name=pl.lit("某某街道办事处") + number.cast(pl.String),
        memo=(number * 2654435761).cast(pl.String).repeat_by(9).list.join("·"),
        count=pl.when(number % bad_every == 0).then(-1).otherwise(number),
    )
    assert frame.schema == schema(resource.items)
    frame.write_parquet(rows, row_group_size=CHUNK_ROWS, compression_level=1)
    assert frame.estimated_size("mb") > 200
    arguments = [resource.model_dump_json(), str(rows), str(tmp_path), str(ROWS)]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told)
    assert told["bad"] == ROWS // bad_every
    assert told["accepted"] + told["bad"] == ROWS
    assert told["mb"] < BOUND_MB
