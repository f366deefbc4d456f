"""A snapshot of a million rows with a key twice on its way to a filtered view: each row in its order, and bounded memory."""

import json
import subprocess
import sys
from pathlib import Path

MOST_MB = 700  # of the whole process; about 550 are used, whatever else a row holds
_DELIVER = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID
import polars as pl
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DispatchOrdered, ViewSnapshot
from dxmesh_schemas.exchange_terms import Comparison
from dxmesh_tabular import writing
from dxmesh_tabular.store import ObjectStore
from exchange_svc.delivery.domain import Unit
from exchange_svc.delivery.members import Changes, Memberships
from exchange_svc.delivery.outflow import Tally, parcels
from exchange_svc.enforcement.rows import token_keys

ROWS, TWICE = 1_000_000, 700_000
AT = datetime(2026, 11, 23, tzinfo=UTC)
SCHEMA = pl.Schema({"row_": pl.UInt32, "id": pl.String, "amount": pl.Int64})
work = Path(sys.argv[1])
store = ObjectStore.open((work / "store").as_uri())
view = ViewSnapshot(
    view_id=UUID(int=2), resource_id=UUID(int=1), resource_version=1, items=("id", "amount"), key=("id",), topic="dxmesh.view.x",
    schema_url="http://node.test/s", where=(Comparison(item="amount", op="ge", value=0),),
)
memberships, objects = Memberships(store, most_keys=4_000_000), ()


def rows(last):
    for start in range(0, ROWS, 100_000):
        n = pl.int_range(start, start + 100_000)
        frame = pl.select(n.alias("n")).with_columns(again=pl.col("n") == ROWS - 1)
        yield frame.select(
            (pl.col("n") + 1).cast(pl.UInt32).alias("row_"),
            pl.format("33060200-{}", pl.when("again").then(TWICE).otherwise("n") + 10_000_000).alias("id"),
            pl.when("again").then(last).otherwise("n").alias("amount"),
        )


def deliver(sequence, frames):
    global objects
    writing.write_parquet(frames, work / "rows.parquet", schema=SCHEMA)
    count = pl.scan_parquet(work / "rows.parquet").select(pl.len()).collect().item()
    ref = store.put_file(f"batches/{sequence}.parquet", work / "rows.parquet", row_count=count)
    order = DispatchOrdered(
        resource_id=view.resource_id, batch_id=UUID(int=sequence), sequence=sequence, kind=BatchKind.SNAPSHOT, rows=ref, views=(view,),
        ordered_at=AT,
    )
    tally = Tally(Unit(order, view, Meta(UUID(int=sequence), order.TYPE, order.SOURCE, AT)))
    changes = Changes(memberships, {view.view_id: objects})
    records = sum(p.builder.record_count() for p in parcels(store, [tally], {view.topic: 3}, token_keys(b"n"), changes, columnar=True))
    changes.committed()
    objects = changes.followed[view.view_id].members.objects
    return [tally.row_count, tally.filtered_count, tally.vanished_count, records, sum(one.row_count for one in objects)]


said = {"lost": deliver(1, rows(-1)), "empty": deliver(2, [pl.DataFrame(schema=SCHEMA)])}
status = Path("/proc/self/status").read_text().splitlines()
said["peak_mb"] = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
print(json.dumps(said))
"""


def test_a_million_rows_with_a_key_twice_reach_a_filtered_view_in_their_order_and_bounded_memory(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", _DELIVER, str(tmp_path)], check=True, capture_output=True, text=True)
    said = json.loads(run.stdout)
    peak_mb = said.pop("peak_mb")
    assert said == {  # rows, filtered, vanished, records, keys that readers have
        "lost": [1_000_000, 0, 0, 1_000_000, 999_998],  # the second row of the key takes the first back: a deletion
        "empty": [0, 0, 999_998, 999_998, 0],
    }
    assert peak_mb < MOST_MB, peak_mb
