"""Rows brought into the form of a later version: exact, or withheld and counted by item."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import polars as pl
import pytest

from dxmesh_schemas.catalog import DataItem, DataType, ItemFormat
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DispatchOrdered, ObjectRef, ViewSnapshot
from exchange_svc.delivery.coming import bring
from exchange_svc.delivery.domain import Unit

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)


def item(data_type: DataType = DataType.TEXT, code: str = "x", **rules: object) -> DataItem:
    return DataItem.model_validate({"code": code, "name": code, "data_type": data_type, **rules})


def unit(*into: DataItem, key: tuple[str, ...] = (), kind: BatchKind = BatchKind.APPEND) -> Unit:
    view = ViewSnapshot(
        view_id=uuid4(),
        resource_id=uuid4(),
        resource_version=2,
        items=tuple({"y", *(one.code for one in into)}),
        key=key,
        topic="dxmesh.view.x",
        schema_url="https://mesh.example/2",
        into=into,
    )
    rows = ObjectRef(key="k", sha256="s", byte_count=1, row_count=3)
    order = DispatchOrdered(resource_id=view.resource_id, batch_id=uuid4(), sequence=1, kind=kind, rows=rows, views=(view,), ordered_at=AT)
    return Unit(order, view, Meta(uuid4(), order.TYPE, order.SOURCE, AT))


def frame(*values: object, kind: object = None, **more: list[object]) -> pl.DataFrame:
    numbers = pl.int_range(1, len(values) + 1, dtype=pl.UInt32, eager=True)
    return pl.DataFrame({"row_": numbers, "x": pl.Series(values, dtype=kind, strict=kind is None), **more})


@pytest.mark.parametrize(
    ("data_type", "held", "values", "brought"),
    [
        (DataType.TEXT, pl.Int64, [7, None], ["7", None]),
        (DataType.TEXT, pl.Date, [date(2026, 1, 2)], ["2026-01-02"]),
        (DataType.TEXT, pl.Boolean, [True], ["true"]),
        (DataType.TEXT, pl.Datetime("us", "UTC"), [AT.replace(microsecond=250_000)], ["2026-11-22T08:00:00.250Z"]),
        (DataType.TEXT, pl.Decimal(38, 2), [Decimal("5.50")], ["5.50"]),
        (DataType.INTEGER, pl.String, ["12", " 7 ", "", None], [12, 7, None, None]),
        (DataType.INTEGER, pl.Float64, [81234.0], [81234]),
        (DataType.INTEGER, pl.Decimal(38, 2), [Decimal("100.00")], [100]),
        (DataType.DOUBLE, pl.Int64, [3], [3.0]),
        (DataType.DATE, pl.String, ["2026年1月2日"], [date(2026, 1, 2)]),
        (DataType.DATETIME, pl.Date, [date(2026, 1, 2)], [datetime(2026, 1, 1, 16, tzinfo=UTC)]),
        (DataType.DATE, pl.Datetime("us", "UTC"), [datetime(2026, 1, 1, 16, tzinfo=UTC)], [date(2026, 1, 2)]),
        (DataType.LOGICAL, pl.String, ["是", "no"], [True, False]),
        (DataType.MONEY, pl.Int64, [3], [Decimal("3.00")]),
    ],
)
def test_a_retyped_value_is_read_from_its_text(data_type: DataType, held: object, values: list[object], brought: list[object]) -> None:
    fitting, misfits = bring(frame(*values, kind=held), unit(item(data_type)))
    assert (fitting["x"].to_list(), misfits) == (brought, {})


@pytest.mark.parametrize(
    ("data_type", "held", "good", "bad"),
    [
        (DataType.INTEGER, pl.String, "1", "1.5"),
        (DataType.INTEGER, pl.Float64, 2.0, 2.5),
        (DataType.INTEGER, pl.Boolean, None, True),
        (DataType.MONEY, pl.Float64, 2.25, 2.125),
        (DataType.DATE, pl.String, "2026-02-28", "2026-02-30"),
        (DataType.DATE, pl.Datetime("us", "UTC"), datetime(2026, 1, 1, 16, tzinfo=UTC), AT),
        (DataType.DATE, pl.Datetime("us", "UTC"), datetime(2026, 1, 1, 16, tzinfo=UTC), datetime(2026, 1, 1, 16, 0, 0, 1, tzinfo=UTC)),
        (DataType.LOGICAL, pl.Int64, 1, 2),
    ],
)
def test_what_cannot_be_read_exactly_is_withheld(data_type: DataType, held: object, good: object, bad: object) -> None:
    fitting, misfits = bring(frame(good, bad, good, kind=held), unit(item(data_type)))
    assert (fitting["row_"].to_list(), misfits) == ([1, 3], {"x": 1})


@pytest.mark.parametrize(
    ("changed", "good", "bad"),
    [
        (item(required=True), "a", " "),
        (item(required=True), "a", None),
        (item(DataType.INTEGER, required=True), 1, None),
        (item(length=2), "街道", "街道办"),
        (item(pattern="[0-9]+"), "12", "12a"),
        (item(pattern="(?=1)1"), None, "1"),
        (item(enumeration=("男", "女")), "男", "M"),
        (item(DataType.INTEGER, minimum=0), 0, -1),
        (item(DataType.DOUBLE, maximum=0.5), 0.5, 0.75),
        (item(format=ItemFormat.DIVISION), "330602", "33060"),
        (item(format=ItemFormat.USCC), "11330600002577014T", "11330600002577014X"),
        (item(format=ItemFormat.RESIDENT_ID), "11010519491231002X", "110105194912310021"),
    ],
)
def test_a_narrowed_item_withholds_the_rows_that_break_it(changed: DataItem, good: object, bad: object) -> None:
    fitting, misfits = bring(frame(good, bad, None if not changed.required else good), unit(changed))
    assert (fitting["row_"].to_list(), misfits) == ([1, 3], {"x": 1})


def test_a_row_counts_once_for_each_item_that_does_not_fit() -> None:
    rows = frame("a", "1", "bb", y=["long", "ok", "ok"], z=["", "", ""])
    fitting, misfits = bring(rows, unit(item(DataType.INTEGER), item(code="y", length=2)))
    assert (fitting["row_"].to_list(), fitting["x"].to_list(), misfits) == ([2], [1], {"x": 2, "y": 1})


def test_each_of_several_retyped_items_is_read_also_in_a_row_that_another_withholds() -> None:
    rows = frame("1", "x", "3", "4", y=["2026-01-02", "?", "?", None])
    fitting, misfits = bring(rows, unit(item(DataType.INTEGER), item(DataType.DATE, code="y")))
    assert (fitting["row_"].to_list(), fitting["x"].to_list(), fitting["y"].to_list()) == ([1, 4], [1, 4], [date(2026, 1, 2), None])
    assert misfits == {"x": 1, "y": 2}


def test_a_key_item_is_required_and_an_item_that_comes_anew_is_null() -> None:
    rows = frame("a", None, "")
    fitting, misfits = bring(rows, unit(item(), item(DataType.DATE, code="new"), key=("x",)))
    assert (fitting["row_"].to_list(), fitting["new"].to_list(), misfits) == ([1], [None], {"x": 2})


def test_a_batch_that_deletes_is_held_to_its_key_alone() -> None:
    rows = frame("1", "one")
    deleting = unit(item(DataType.INTEGER), item(code="y", required=True), key=("x",), kind=BatchKind.DELETE)
    fitting, misfits = bring(rows, deleting)
    assert (fitting["x"].to_list(), misfits) == ([1], {"x": 1})
    without = unit(item(code="other"), key=("other",), kind=BatchKind.DELETE)
    assert bring(rows, without)[1] == {"other": 2}, "a delete that does not name the coming key names no row of that form"
