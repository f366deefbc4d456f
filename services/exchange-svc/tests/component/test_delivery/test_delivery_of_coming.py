"""On a real broker: a batch goes to the view of its version as it is, and to that of a coming one in its form."""

import json
from uuid import uuid4

import polars as pl

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchKind, Misfit

HOUSEHOLDS = DataItem(code="households", name="户数", data_type=DataType.INTEGER)
NAME = DataItem(code="name", name="名称", data_type=DataType.TEXT, length=4)


def batch() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row_": pl.Series([1, 2, 3, 4], dtype=pl.UInt32),
            "code": ["000001", "000002", "000003", "000004"],
            "name": ["塔山街道", "府山街道办事处", "北海街道", "城南街道"],
            "households": ["120", "80", "不详", None],
        }
    )


def both(mesh):
    resource_id = uuid4()
    now = mesh.view(resource_id, items=["code", "name", "households"])
    coming = mesh.view(resource_id, items=["code", "name", "households"])
    return now, coming.model_copy(update={"resource_version": 2, "schema_url": "https://mesh.example/2", "into": (NAME, HOUSEHOLDS)})


async def test_rows_come_in_both_forms_and_what_does_not_fit_is_counted(mesh):
    now, coming = both(mesh)
    order = mesh.order(now, coming, rows=batch())
    async with mesh.worker():
        await mesh.publish(order)
        events = {event.view_id: event for event in await mesh.all_completed(order)}
    old, new = await mesh.read(now.topic), await mesh.read(coming.topic)
    assert {record.key for record in old} == {b"000001", b"000002", b"000003", b"000004"}
    assert {record.key: json.loads(record.value)["households"] for record in new} == {b"000001": 120, b"000004": None}
    assert {dict(record.headers)["schema"] for record in new} == {b"https://mesh.example/2"}
    assert {dict(record.headers)["row"] for record in new} == {b"1", b"4"}, "a row keeps its number, so both topics can be compared"
    told = events[coming.view_id]
    assert (told.accepted_count, told.delivered_count, told.withheld_count) == (4, 2, 2)
    assert told.misfits == (Misfit(item="households", row_count=1), Misfit(item="name", row_count=1))
    plain = events[now.view_id]
    assert (plain.delivered_count, plain.withheld_count, plain.misfits) == (4, 0, ())


async def test_a_batch_of_which_nothing_fits_is_complete_without_a_record(mesh):
    _, coming = both(mesh)
    rows = batch().with_columns(households=pl.lit("不详"))
    many = [mesh.order(coming, rows=rows), mesh.order(coming, rows=batch()), mesh.order(coming, rows=batch(), kind=BatchKind.DELETE)]
    async with mesh.worker():
        await mesh.publish(*many)
        events = await mesh.all_completed(*many)
    assert [(event.delivered_count, event.withheld_count) for event in events] == [(0, 4), (2, 2), (4, 0)]
    assert events[0].ranges == ()
    assert len(await mesh.read(coming.topic)) == 6


async def test_the_forms_of_a_larger_batch_are_the_same_from_columns_and_row_by_row(mesh):
    resource_id = uuid4()
    numbers = pl.int_range(1, 30_001, dtype=pl.UInt32, eager=True)
    rows = pl.DataFrame({"row_": numbers, "code": numbers.cast(pl.String), "name": pl.select(pl.repeat("甲", 30_000)).to_series()})
    rows = rows.with_columns(households=pl.when(numbers % 3 == 0).then(pl.lit("x")).otherwise(numbers.cast(pl.String)))
    digests = []
    for columnar in (True, False):
        view = mesh.view(resource_id, items=["code", "households"])
        order = mesh.order(view.model_copy(update={"into": (HOUSEHOLDS,)}), rows=rows)
        async with mesh.worker(columnar=columnar):
            await mesh.publish(order)
            [event] = await mesh.all_completed(order)
        assert (event.delivered_count, event.withheld_count) == (20_000, 10_000)
        digests.append(event.sha256)
    assert digests[0] == digests[1]
