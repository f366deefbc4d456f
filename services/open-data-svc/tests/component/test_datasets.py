"""A dataset follows its resource: opened, given versions, narrowed, retired; told by events and kept in the store."""

import asyncio
import hashlib
import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select

from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver, incoming, schema_diff
from dxmesh_schemas.catalog import DataItem, DataType, OpenType
from dxmesh_schemas.open_data import DatasetPublished, DatasetRefreshed, DatasetRetired
from open_data_svc.catalog import store as _catalog  # noqa: F401  # its tables are of this service
from open_data_svc.dataset import commands, files, store
from open_data_svc.rows import Base


async def _files(open_data: Any, version: int) -> dict[str, bytes]:
    async with open_data.sessions() as session:
        rows = await session.scalars(select(store.DatasetFile).where(store.DatasetFile.version == version))
        found = {}
        for row in rows:
            content = found[row.format] = open_data.objects.get_bytes(row.object_key)
            assert hashlib.sha256(content).hexdigest() == row.sha256
            assert len(content) == row.byte_count
        return found


async def test_the_migrated_schema_is_the_one_the_code_expects(open_data: Any) -> None:
    assert await schema_diff(open_data.settings.database.url, Base.metadata) == []


async def test_a_resource_open_to_all_becomes_a_dataset_once_its_table_advances(open_data: Any) -> None:
    resource = await open_data.publish(open_data.resource())
    assert await open_data.events() == []
    await open_data.advance(resource, open_data.streets(20))
    (event,) = await open_data.events()
    assert isinstance(event, DatasetPublished)
    assert (event.name, event.version, event.table_version, event.sequence, event.row_count) == ("307001-000123", 1, 1, 1, 20)
    assert event.items == open_data.open_codes
    assert event.resource_id == resource.resource_id


async def test_the_table_may_advance_before_the_resource_is_known(open_data: Any) -> None:
    resource = open_data.resource()
    await open_data.advance(resource, open_data.streets(5))
    assert await open_data.events() == []
    await open_data.publish(resource)
    (event,) = await open_data.events()
    assert event.row_count == 5


async def test_the_three_files_hold_the_same_rows_in_the_order_of_the_key_and_no_item_that_is_not_open(open_data: Any) -> None:
    await open_data.opened(open_data.streets(20))
    made = await _files(open_data, 1)
    expected = open_data.streets(20).select(open_data.open_codes).sort("code")
    parquet = pl.read_parquet(BytesIO(made["parquet"]))
    assert parquet.equals(expected)
    assert made["csv"].startswith(b"\xef\xbb\xbfcode,name,people,area,since,seen,urban\r\n")
    assert made["csv"].count(b"\r\n") == 21
    csv = pl.read_csv(BytesIO(made["csv"]), infer_schema=False)
    assert csv.columns == list(open_data.open_codes)
    assert csv.row(3) == ("330600003", "街道 3", "21", "0.03", "2001-05-04", csv["seen"][3], "false")
    rows = json.loads(made["json"])
    assert [row["code"] for row in rows] == expected["code"].to_list()
    assert rows[3]["people"] == 21
    assert rows[3]["urban"] is False
    for content in made.values():
        assert b"1390000" not in content
        assert "内部".encode() not in content


async def test_the_same_table_version_makes_the_same_bytes_again(open_data: Any, tmp_path: Any) -> None:
    resource = open_data.resource()
    event = open_data.write(resource, open_data.streets(500))
    arguments = {
        "table_key": event.table_key,
        "table_version": event.table_version,
        "items": open_data.items[:7],
        "order": ("code",),
        "folder": "datasets/x/v1",
    }
    first = files.make(open_data.objects, **arguments)
    assert files.make(open_data.objects, **arguments) == first


@pytest.mark.parametrize("key", [("code",), ("urban", "name"), ("area", "since", "code")])
async def test_a_large_table_is_sorted_range_by_range_and_loses_nothing(
    open_data: Any, key: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHUNK_ROWS", 300)
    rows = open_data.streets(2_000).with_columns(
        pl.when(pl.col("people") % 5 == 0).then(None).otherwise(pl.col("name")).alias("name"),
        pl.when(pl.col("people") % 7 == 0).then(None).otherwise(pl.col("area")).alias("area"),
    )
    await open_data.opened(rows, key=key)
    made = pl.read_parquet(BytesIO((await _files(open_data, 1))["parquet"]))
    assert made.equals(rows.select(open_data.open_codes).sort(key, maintain_order=True)) or made.select(key).equals(
        rows.select(key).sort(key)
    )
    assert made.sort(open_data.open_codes).equals(rows.select(open_data.open_codes).sort(open_data.open_codes))


async def test_rows_of_a_table_whose_key_is_not_open_are_ordered_by_what_is_open(open_data: Any) -> None:
    await open_data.opened(open_data.streets(20), key=("phone",))
    made = pl.read_parquet(BytesIO((await _files(open_data, 1))["parquet"]))
    assert made.equals(made.sort(open_data.open_codes))


async def test_rows_without_a_key_stay_as_they_were_sent(open_data: Any) -> None:
    rows = open_data.streets(20)
    await open_data.opened(rows, key=())
    made = pl.read_parquet(BytesIO((await _files(open_data, 1))["parquet"]))
    assert made.equals(rows.select(open_data.open_codes))


async def test_an_empty_table_makes_empty_files_with_their_columns(open_data: Any) -> None:
    await open_data.opened(open_data.streets(0))
    made = await _files(open_data, 1)
    assert made["csv"] == b"\xef\xbb\xbfcode,name,people,area,since,seen,urban\r\n"
    assert json.loads(made["json"]) == []
    assert pl.read_parquet(BytesIO(made["parquet"])).columns == list(open_data.open_codes)


async def test_an_item_the_table_has_no_column_for_yet_is_empty(open_data: Any) -> None:
    await open_data.opened(open_data.streets(3), items=(*open_data.items, DataItem(code="mayor", name="负责人", data_type=DataType.TEXT)))
    assert pl.read_parquet(BytesIO((await _files(open_data, 1))["parquet"]))["mayor"].to_list() == [None] * 3


async def test_each_advance_makes_a_version_and_a_repeat_makes_none(open_data: Any) -> None:
    resource = await open_data.opened()
    event = await open_data.advance(resource, open_data.streets(30))
    await open_data.deliver(event)
    await open_data.publish(resource)
    first, second = await open_data.events()
    assert isinstance(first, DatasetPublished)
    assert isinstance(second, DatasetRefreshed)
    assert (second.version, second.row_count, second.table_version) == (2, 30, 2)
    assert len(await _files(open_data, 2)) == 3


async def test_of_several_waiting_advances_only_the_newest_is_made(open_data: Any) -> None:
    resource = await open_data.publish(open_data.resource())
    waiting = [incoming(open_data.write(resource, open_data.streets(count))) for count in (1, 2, 3)]
    await deliver(open_data.sessions, open_data.handlers, waiting[0], waiting[2], waiting[1])
    (event,) = await open_data.events()
    assert (event.version, event.row_count, event.table_version) == (1, 3, 3)


async def test_an_older_advance_that_comes_late_changes_nothing(open_data: Any) -> None:
    resource = await open_data.publish(open_data.resource())
    old, new = open_data.write(resource, open_data.streets(1)), open_data.write(resource, open_data.streets(2))
    await open_data.deliver(new, old)
    (event,) = await open_data.events()
    assert event.row_count == 2


async def test_two_advances_at_the_same_time_make_versions_one_after_the_other(open_data: Any) -> None:
    resource = await open_data.publish(open_data.resource())
    events = [open_data.write(resource, open_data.streets(count)) for count in (1, 2, 3)]
    await asyncio.gather(*(open_data.deliver(event) for event in events))
    told = await open_data.events()
    assert [event.version for event in told] == list(range(1, len(told) + 1))
    assert told[-1].table_version == 3


@pytest.mark.parametrize("open_type", [OpenType.CONDITIONAL, OpenType.CLOSED])
async def test_a_resource_that_is_not_open_to_all_makes_no_dataset(open_data: Any, open_type: OpenType) -> None:
    resource = await open_data.publish(open_data.resource(open_type=open_type))
    await open_data.advance(resource, open_data.streets(5))
    assert await open_data.events() == []


async def test_a_resource_that_stops_being_open_retires_its_dataset_once(open_data: Any) -> None:
    resource = await open_data.opened()
    closed = resource.model_copy(update={"version": 2, "open_type": OpenType.CONDITIONAL})
    await open_data.publish(closed)
    await open_data.advance(closed, open_data.streets(30))
    _, event = await open_data.events()
    assert isinstance(event, DatasetRetired)
    assert "CONDITIONAL" in event.reason


async def test_a_withdrawn_resource_retires_its_dataset(open_data: Any) -> None:
    resource = await open_data.opened()
    await open_data.withdraw(resource, reason="merged into another")
    event = (await open_data.events())[-1]
    assert isinstance(event, DatasetRetired)
    assert "merged into another" in event.reason


async def test_a_dataset_that_is_opened_again_keeps_its_name_and_goes_on_counting(open_data: Any) -> None:
    resource = await open_data.opened()
    await open_data.publish(resource.model_copy(update={"version": 2, "open_type": OpenType.CLOSED}))
    await open_data.publish(resource.model_copy(update={"version": 3}))
    first, retired, again = await open_data.events()
    assert isinstance(retired, DatasetRetired)
    assert isinstance(again, DatasetRefreshed)
    assert (again.name, again.version) == (first.name, 1)
    await open_data.advance(resource, open_data.streets(7))
    assert (await open_data.events())[-1].version == 2


async def test_an_item_that_is_closed_is_gone_from_a_new_version_and_withholds_the_old_one(open_data: Any) -> None:
    resource = await open_data.opened()
    items = tuple(item.model_copy(update={"data_level": 3}) if item.code == "people" else item for item in resource.items)
    await open_data.publish(resource.model_copy(update={"version": 2, "items": items}))
    event = (await open_data.events())[-1]
    assert isinstance(event, DatasetRefreshed)
    assert "people" not in event.items
    name = event.name
    withheld = await open_data.client.get(f"/datasets/{name}/v1/{name}.csv")
    assert withheld.status_code == 410
    newest = await open_data.client.get(f"/datasets/{name}/latest/{name}.csv")
    assert newest.status_code == 200
    assert b"people" not in newest.content


async def test_two_resources_of_one_code_get_two_names(open_data: Any) -> None:
    await open_data.opened()
    other = await open_data.opened()
    names = [event.name for event in await open_data.events()]
    assert names == ["307001-000123", f"307001-000123-{other.resource_id.hex[-8:]}"]


async def test_versions_beyond_those_kept_are_gone_and_later_their_files(open_data: Any) -> None:
    resource = await open_data.opened()
    for count in (2, 3, 4, 5):
        await open_data.advance(resource, open_data.streets(count))
    name = "307001-000123"
    statuses = [(await open_data.client.get(f"/datasets/{name}/v{version}/{name}.csv")).status_code for version in range(1, 6)]
    assert statuses == [410, 410, 200, 200, 200]
    async with open_data.sessions.begin() as tx:
        keys = [row.object_key for row in await tx.scalars(select(store.DatasetFile).where(store.DatasetFile.version <= 2))]
        assert await commands.remove_old_files(tx, open_data.objects, now=utc_now()) == 0
        assert await commands.remove_old_files(tx, open_data.objects, now=utc_now() + timedelta(hours=1)) == 6
    assert not any(open_data.objects.exists(key) for key in keys)
    assert len(await _files(open_data, 5)) == 3


async def test_a_version_begun_and_not_committed_leaves_nothing_behind_that_matters(open_data: Any) -> None:
    resource = await open_data.publish(open_data.resource())
    lost = open_data.write(resource, open_data.streets(1))
    async with open_data.sessions() as tx:
        await open_data.handlers[type(lost)].handle(tx, [incoming(lost)])
        await tx.rollback()
    assert await open_data.events() == []
    await open_data.deliver(open_data.write(resource, open_data.streets(2)))
    (event,) = await open_data.events()
    assert (event.version, event.row_count) == (1, 2)
    assert pl.read_parquet(BytesIO((await _files(open_data, 1))["parquet"])).height == 2
