"""What the limit is made of: each stage of a batch's way by itself, in one process, on the rows of every other benchmark."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import polars as pl

from benchmarks import data
from benchmarks.report import Row
from dxmesh_local.kafka import Kafka
from dxmesh_local.ports import Ports
from dxmesh_runtime import broker
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.catalog import DataItem, OpenType, OrganizationRef, ResourceSnapshot, SharingType, UpdateCycle
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DispatchOrdered, ObjectRef, ViewSnapshot
from dxmesh_schemas.exchange_terms import Comparison, Keep, Pseudonym
from dxmesh_tabular import table
from dxmesh_tabular.batchfile import store_batch
from dxmesh_tabular.json_rows import row_json
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.store import ObjectStore
from dxmesh_tabular.table import FoldInput
from exchange_svc.delivery.domain import Unit
from exchange_svc.delivery.members import Changes, Following, Members, Memberships
from exchange_svc.delivery.outflow import Parcel, Tally, parcels
from exchange_svc.delivery.projection import CHUNK_ROWS
from exchange_svc.enforcement.rows import enforce, token_keys
from quality_svc.assessment.checking import Plan, Work, check
from quality_svc.rule.domain import rules_of
from quality_svc.rule.known import Facts

ROWS = 300_000
_ROUNDS = 3
_PARTITIONS = 3


def run() -> list[Row]:
    """Measure parse and store, rules, encode, broker and fold; print microseconds a row of each."""
    with tempfile.TemporaryDirectory(prefix="dxmesh-stages-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        store = ObjectStore.open((folder / "objects").as_uri())
        items = tuple(DataItem.model_validate(item) for item in data.ITEMS)
        csv = data.csv_file(folder, ROWS)
        seconds: dict[str, float] = {}

        def read() -> None:
            store_batch(csv, MediaType.CSV, items, rows_to=folder / "rows.parquet", refused_to=folder / "refused.parquet")

        seconds["parse and store"] = _best(read)
        seconds["rules"] = _rules(items, folder)
        rows = store.put_file("batches/rows.parquet", folder / "rows.parquet", row_count=ROWS)
        unit = _unit(items, rows)
        made: list[Parcel] = []

        def encode() -> None:
            made[:] = parcels(
                store,
                [Tally(unit)],
                {unit.view.topic: _PARTITIONS},
                token_keys(b"node"),
                Changes(Memberships(store, most_keys=0)),
                columnar=True,
            )

        seconds["encode"] = _best(encode)
        seconds["encode, row by row"] = _best(
            lambda: list(
                parcels(
                    store,
                    [Tally(unit)],
                    {unit.view.topic: _PARTITIONS},
                    token_keys(b"node"),
                    Changes(Memberships(store, most_keys=0)),
                    columnar=False,
                )
            ),
            rounds=1,
        )
        seconds["broker"] = _broker(folder, made, unit.view.topic)
        seconds["fold into the table"] = _best(
            lambda: table.fold(store, uuid4(), items, ("id",), [FoldInput(1, BatchKind.APPEND, rows.key)])
        )
        enforced = _enforced(store, unit.view, folder / "rows.parquet")
    found = []
    for stage, taken in seconds.items():
        print(f"  {stage:<24}{taken / ROWS * 1e6:6.2f} µs a row, {ROWS / taken:>12,.0f} rows/s")
        slug = stage.replace(",", "").replace(" ", "_")
        found.append(Row(f"stage_{slug}", f"{stage}, {ROWS:,} rows, one process by itself", ROWS / taken, "rows/s"))
    for what, (taken, goal) in enforced.items():
        print(f"  {what:<36}{taken:6.2f} µs of processor time a row")
        slug = what.replace(",", "").replace(" ", "_")
        found.append(Row(f"enforce_{slug}", f"{what}, 10 items, processor time a row", taken, "µs", goal))
    return found


def _enforced(store: ObjectStore, plain: ViewSnapshot, path: Path) -> dict[str, tuple[float, str]]:
    """Return microseconds of processor time a row, with their goal: what a view's terms cost, and all that makes a row its JSON."""
    frames = list(pl.read_parquet(path).iter_slices(CHUNK_ROWS))
    hidden = (Keep(item="name", mask="keep", prefix=1, suffix=1), Pseudonym(item="address", mask="pseudonym"))
    where = (Comparison(item="employees", op="ge", value=0),)  # all pass: what is left out costs less
    view = plain.model_copy(update={"where": where, "masks": hidden, "scope": uuid4()})
    keys = token_keys(b"node")

    def follow(frame: pl.DataFrame) -> None:
        passed = pl.repeat(value=True, n=len(frame), dtype=pl.Boolean, eager=True)
        Following(store, view.view_id, Members()).losing(frame["id"], passed, BatchKind.UPSERT, 1)

    def processor(work: Callable[[pl.DataFrame], object]) -> float:
        taken = []
        for _ in range(_ROUNDS):
            begun = time.process_time()
            for frame in frames:
                work(frame)
            taken.append(time.process_time() - begun)
        return min(taken) / ROWS * 1e6

    return {
        "filter and two masks": (processor(lambda frame: enforce(frame, view, keys)), ""),
        "project, filter, mask and encode": (processor(lambda frame: row_json(enforce(frame.select(view.items), view, keys))), "<= 2"),
        "which keys readers have": (processor(follow), ""),
    }


def _best(work: Callable[[], object], *, rounds: int = _ROUNDS) -> float:
    """Return the seconds of the quickest of some rounds: the others had company."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return min(taken)


def _rules(items: tuple[DataItem, ...], folder: Path) -> float:
    provider = OrganizationRef(organization_id=uuid7(), uscc="11330600MB1573660P", name="示例", division_code="3306")
    resource = ResourceSnapshot(
        resource_id=uuid7(), version=1, resource_code="3/01/001/1/1", name="示例", summary="示例", class_path="3/01/001/1",
        provider=provider, system_id=uuid7(), items=items, key=("id",), sharing_type=SharingType.UNCONDITIONAL,
        open_type=OpenType.CLOSED, update_cycle=UpdateCycle.DAILY,
        schema_url="https://catalog.example/schema.json", published_at=utc_now(),
    )  # fmt: skip
    plan = Plan(resource, rules_of(resource, BatchKind.APPEND), Facts())
    work = Work(uuid7(), ROWS, folder / "rows.parquet", ROWS, None, 0)
    checked = check(plan, [work], folder)[0]
    assert checked.bad_row_count == 0, checked
    return _best(lambda: check(plan, [work], folder))


def _unit(items: tuple[DataItem, ...], rows: ObjectRef) -> Unit:
    resource_id, view_id = uuid7(), uuid7()
    view = ViewSnapshot(
        view_id=view_id, resource_id=resource_id, resource_version=1, items=tuple(item.code for item in items), key=("id",),
        topic=f"dxmesh.view.{view_id}", schema_url="https://catalog.example/schema.json",
    )  # fmt: skip
    dispatch = DispatchOrdered(
        resource_id=resource_id, batch_id=uuid7(), sequence=1, kind=BatchKind.APPEND, rows=rows, views=(view,), ordered_at=utc_now()
    )
    return Unit(dispatch, view, Meta(uuid7(), DispatchOrdered.TYPE, DispatchOrdered.SOURCE, utc_now()))


def _broker(folder: Path, made: list[Parcel], topic: str) -> float:
    """Return the seconds in which the broker takes the record batches in one transaction."""
    ports = Ports.free()
    server = Kafka(folder / "kafka", ports.kafka, ports.kafka_controller)
    server.start()
    try:
        return asyncio.run(_send(KafkaSettings(bootstrap_servers=server.bootstrap_servers), made, topic))
    finally:
        server.stop()


async def _send(kafka: KafkaSettings, made: list[Parcel], topic: str) -> float:
    await broker.ensure_topics(kafka, {topic: {"max.message.bytes": str(2 << 20)}})
    producer = broker.producer(kafka, transactional_id="stages")
    await producer.start()
    begun = time.perf_counter()
    async with producer.transaction():
        waiting = [await producer.send_batch(parcel.builder, parcel.topic, partition=parcel.partition) for parcel in made]
        await asyncio.gather(*waiting)
    taken = time.perf_counter() - begun
    await producer.stop()
    return taken
