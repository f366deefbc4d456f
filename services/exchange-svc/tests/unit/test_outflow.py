"""Waiting dispatches that are encoded together make the same records, digests and places as each by itself."""

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from aiokafka.record.memory_records import MemoryRecords

from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DispatchOrdered, ViewSnapshot
from dxmesh_tabular.store import ObjectStore
from exchange_svc.batch.errors import RowsMissing
from exchange_svc.delivery import outflow
from exchange_svc.delivery.domain import Unit
from exchange_svc.delivery.members import Changes, Memberships
from exchange_svc.delivery.outflow import Tally, WrongDispatch, parcels
from exchange_svc.delivery.record_batch import MAX_RECORD_BYTES
from exchange_svc.enforcement.rows import token_keys

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
PARTITIONS = 3


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore.open((tmp_path / "objects").as_uri())


def view(*items: str, key: tuple[str, ...] = ("code",)) -> ViewSnapshot:
    view_id = uuid4()
    return ViewSnapshot(
        view_id=view_id, resource_id=uuid4(), resource_version=1, items=items, key=key, topic=f"dxmesh.view.{view_id}",
        schema_url="http://node.test/schema.json",
    )  # fmt: skip


def rows(first: int, count: int, **more: list[str]) -> pl.DataFrame:
    numbers = pl.int_range(first, first + count, dtype=pl.UInt32, eager=True)
    frame = pl.DataFrame({"row_": pl.int_range(1, count + 1, dtype=pl.UInt32, eager=True), "code": numbers.cast(pl.String)})
    return frame.with_columns(name="街道" + pl.col("code"), **{name: pl.Series(values) for name, values in more.items()})


def unit(store: ObjectStore, tmp_path: Path, seen_by: ViewSnapshot, frame: pl.DataFrame, kind: BatchKind = BatchKind.UPSERT) -> Unit:
    path = tmp_path / f"{uuid4()}.parquet"
    frame.write_parquet(path)
    ref = store.put_file(f"batches/{uuid4()}/rows.parquet", path, row_count=len(frame))
    order = DispatchOrdered(
        resource_id=seen_by.resource_id, batch_id=uuid4(), sequence=1, kind=kind, rows=ref, views=(seen_by,), ordered_at=AT
    )
    return Unit(order, seen_by, Meta(uuid4(), order.TYPE, order.SOURCE, AT))


def made(store: ObjectStore, units: list[Unit], *, columnar: bool = True) -> tuple[dict[tuple[str, int], list[tuple]], list[Tally]]:
    """Return the records of each place, and the tallies with the places of a log that begins at 0 everywhere."""
    tallies = [Tally(one) for one in units]
    records: dict[tuple[str, int], list[tuple]] = defaultdict(list)
    for parcel in parcels(
        store,
        tallies,
        {one.view.topic: PARTITIONS for one in units},
        token_keys(b"node"),
        Changes(Memberships(store, most_keys=0)),
        columnar=columnar,
    ):
        first = len(records[parcel.topic, parcel.partition])
        parcel.builder._set_producer_state(1, 1, 0)
        batch = MemoryRecords(bytes(parcel.builder._build())).next_batch()
        records[parcel.topic, parcel.partition] += [(record.key, record.value, tuple(record.headers)) for record in batch]
        for tally, count in parcel.parts:
            tally.place(parcel.partition, first, count)
            first += count
    return records, tallies


@pytest.mark.parametrize("columnar", [True, False])
def test_units_encoded_together_equal_units_encoded_alone(store: ObjectStore, tmp_path: Path, columnar: bool) -> None:
    one, twin, other = view("code", "name"), view("code", "name"), view("name", key=())
    units = [
        unit(store, tmp_path, one, rows(1, 10)),
        unit(store, tmp_path, one, rows(11, 1)),
        unit(store, tmp_path, one, rows(1, 0)),
        unit(store, tmp_path, one, rows(12, 400)),
        unit(store, tmp_path, twin, rows(12, 400)),
        unit(store, tmp_path, one, rows(450, 3).drop("name")),
        unit(store, tmp_path, one, rows(460, 6)),
        unit(store, tmp_path, one, rows(1, 5), BatchKind.DELETE),
        unit(store, tmp_path, one, rows(500, 3).drop("name")),
        unit(store, tmp_path, other, rows(600, 40)),
        unit(store, tmp_path, one, rows(700, 30_000)),
        unit(store, tmp_path, one, rows(40_000, 7)),
    ]
    together, tallies = made(store, units, columnar=columnar)
    alone: dict[tuple[str, int], list[tuple]] = defaultdict(list)
    for single, tally in zip(units, tallies, strict=True):
        records, [its] = made(store, [single], columnar=columnar)
        assert tally.digest.hexdigest() == its.digest.hexdigest()
        assert tally.row_count == its.row_count == single.dispatch.rows.row_count
        for place, found in records.items():
            start = len(alone[place])
            alone[place] += found
            assert tally.offsets[place[1]] == (start, start + len(found) - 1)
            assert its.offsets[place[1]] == (0, len(found) - 1)
    assert together == alone


def test_a_row_too_large_among_good_batches_is_named_by_its_own_dispatch(store: ObjectStore, tmp_path: Path) -> None:
    seen_by = view("code", "name", "note")
    good = unit(store, tmp_path, seen_by, rows(1, 2, note=["a", "b"]))
    bad = unit(store, tmp_path, seen_by, rows(3, 2, note=["c", "x" * (MAX_RECORD_BYTES + 1)]))
    with pytest.raises(WrongDispatch) as caught:
        made(store, [good, bad])
    assert caught.value.event_id == bad.meta.event_id


def test_of_units_encoded_together_the_one_whose_row_is_too_large_is_named(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outflow, "MAX_RECORD_BYTES", 500)  # rows above the real limit are too many bytes to be encoded with others
    seen_by = view("code", "note", key=())
    notes = [["a"] * 6, ["b"] * 6, ["c"] * 5 + ["x" * 501], ["d"] * 6]
    units = [unit(store, tmp_path, seen_by, rows(1, 6, note=note)) for note in notes]
    with pytest.raises(WrongDispatch) as caught:
        made(store, units)
    assert caught.value.event_id == units[2].meta.event_id


@pytest.mark.parametrize(("units", "count", "note"), [(8, 10_000, "x"), (4, 300, "x" * 6_000)], ids=["many rows", "many bytes"])
def test_what_waits_leaves_before_all_of_it_is_read(store: ObjectStore, tmp_path: Path, units: int, count: int, note: str) -> None:
    seen_by = view("code", "name", "note")
    waiting = [unit(store, tmp_path, seen_by, rows(1, count, note=[note] * count)) for _ in range(units)]
    lost = unit(store, tmp_path, seen_by, rows(1, count, note=[note] * count))
    store.delete(lost.dispatch.rows.key)
    leaving = parcels(
        store,
        [Tally(one) for one in [*waiting, lost]],
        {seen_by.topic: 1},
        token_keys(b"node"),
        Changes(Memberships(store, most_keys=0)),
        columnar=True,
    )
    assert next(leaving).builder.record_count()
    with pytest.raises(RowsMissing):
        list(leaving)
