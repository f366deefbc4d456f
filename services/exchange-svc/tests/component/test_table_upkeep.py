"""Tables are tended beside their folds by one process at a time, and a damaged one is told loudly and rebuilt from its batches."""

import asyncio
import os
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select, update

from dxmesh_runtime.db import Database, connect, utc_now
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings, ObjectStoreSettings, SigningSettings
from dxmesh_runtime.testing import deliver, incoming
from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange import BatchAccepted, TableAdvanced
from dxmesh_tabular import table, table_upkeep
from exchange_svc.settings import Settings
from exchange_svc.table import commands, store
from exchange_svc.table.consumers import handlers
from exchange_svc.table.errors import TableDamaged, TableNotBegun
from exchange_svc.table.settings import TableSettings
from exchange_svc.table.worker import LOCK, run_upkeep, tend_due
from exchange_svc.worker import rebuild_table

HEAD = "code,name,people,since\n"
EAGER = TableSettings(upkeep_seconds=0.05, upkeep_commits=1, spare_files=1, kept_hours=1)


@pytest.fixture
async def database(exchange: Any) -> Any:
    found = connect(DatabaseSettings(url=exchange.url))
    yield found
    await found.close()


async def push(exchange: Any, resource: Any, *bodies: str, kind: str = "append") -> None:
    """Push and accept batches, and fold each by itself."""
    for body in bodies:
        await exchange.accepted(resource.resource_id, (HEAD + body).encode(), params={"kind": kind})
        await fold(exchange)


async def fold(exchange: Any) -> None:
    events = [event for event in await exchange.outbox() if isinstance(event, BatchAccepted)]
    await deliver(exchange.sessions, handlers(exchange.objects), *(incoming(event) for event in events))


async def row_of(exchange: Any, resource: Any) -> store.ResourceTable:
    async with exchange.sessions() as tx:
        row = await store.find(tx, resource.resource_id)
    assert row is not None
    return row


async def codes(exchange: Any, resource: Any, version: int | None = None) -> list[str]:
    row = await row_of(exchange, resource)
    frame = table.scan(exchange.objects, row.table_key, version=row.version if version is None else version)
    return list(frame.sort("sequence_", "row_").collect()["code"])


async def read(exchange: Any, grant_id: str, **params: Any) -> Any:
    return await exchange.client.get(f"/v1/grants/{grant_id}/rows", params=params, headers=exchange.steward(exchange.requester))


def folder(exchange: Any, row: store.ResourceTable) -> Path:
    return Path(exchange.objects.uri(row.table_key))


def settings_of(exchange: Any, tmp_path: Path) -> Settings:
    return Settings(
        database=DatabaseSettings(url=exchange.url),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=exchange.tokens.auth_settings(),
        object_store=ObjectStoreSettings(url=exchange.objects.url),
        signing=SigningSettings(key_file=tmp_path / "node.pem"),
    )


async def test_small_files_are_joined_and_only_the_tables_version_changes(exchange: Any, database: Database) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "1,a,,\n2,b,,\n", "3,c,,\n", "4,d,,\n")
    before = await row_of(exchange, resource)
    told = [event for event in await exchange.outbox() if isinstance(event, TableAdvanced)]
    grant_id = (await exchange.granted(resource, items=["code"]))["grant_id"]
    cursor = (await read(exchange, grant_id, limit=2)).json()["next_cursor"]
    assert await tend_due(database, exchange.objects, EAGER, now=utc_now()) == 1
    after = await row_of(exchange, resource)
    assert (after.version, after.sequence, after.row_count, after.told_version) == (before.version + 1, 3, 4, before.version)
    assert len(list(folder(exchange, after).glob("*.parquet"))) == 4
    assert await codes(exchange, resource) == ["1", "2", "3", "4"]
    assert [event for event in await exchange.outbox() if isinstance(event, TableAdvanced)] == told
    assert (await read(exchange, grant_id, cursor=cursor)).json()["items"] == [{"code": "3"}, {"code": "4"}]
    assert await tend_due(database, exchange.objects, EAGER, now=utc_now()) == 0
    await push(exchange, resource, "3,new,,\n", kind="upsert")
    assert await codes(exchange, resource) == ["1", "2", "4", "3"]


async def test_a_table_that_moved_on_little_is_left_until_its_old_versions_are_over(exchange: Any, database: Database) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "1,a,,\n", "2,b,,\n")
    settings = TableSettings(upkeep_commits=3, kept_hours=2)
    assert await tend_due(database, exchange.objects, settings, now=utc_now()) == 1  # 2 versions beside the one it began with
    await push(exchange, resource, "3,c,,\n")
    assert await tend_due(database, exchange.objects, settings, now=utc_now()) == 0
    assert await tend_due(database, exchange.objects, settings, now=utc_now() + timedelta(hours=2)) == 1
    assert (await row_of(exchange, resource)).tended_version == 3


async def test_a_cursor_whose_version_was_removed_is_gone_and_one_within_its_time_goes_on(exchange: Any, database: Database) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "1,a,,\n", kind="snapshot")
    await push(exchange, resource, "2,b,,\n")  # a file of its own: what a page takes whole stays in no memory
    grant_id = (await exchange.granted(resource, items=["code"]))["grant_id"]
    cursor = (await read(exchange, grant_id, limit=1)).json()["next_cursor"]
    await push(exchange, resource, "7,g,,\n8,h,,\n", kind="snapshot")
    await tend_due(database, exchange.objects, EAGER, now=utc_now())
    assert (await read(exchange, grant_id, cursor=cursor)).json()["items"] == [{"code": "2"}]
    row = await row_of(exchange, resource)
    age(folder(exchange, row), hours=2)
    await tend_due(database, exchange.objects, EAGER, now=utc_now() + timedelta(hours=2))
    answer = await read(exchange, grant_id, cursor=cursor)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (410, "table-version-gone")
    assert (await read(exchange, grant_id)).json()["items"] == [{"code": "7"}, {"code": "8"}]


def age(path: Path, *, hours: int) -> None:
    """Make a table's log say that all was done so many hours earlier."""
    for entry in (path / "_delta_log").glob("*.json"):
        text = re.sub(r'("deletionTimestamp":)([0-9]+)', lambda at: f"{at[1]}{int(at[2]) - hours * 3_600_000}", entry.read_text("utf-8"))
        entry.write_text(text, encoding="utf-8")
    for one in path.rglob("*"):
        os.utime(one, (time.time() - hours * 3600,) * 2)


async def test_of_two_processes_one_tends_and_the_other_passes(exchange: Any, database: Database) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "1,a,,\n", "2,b,,\n")
    async with database.autocommit.connect() as other:
        await other.execute(select(func.pg_advisory_lock(LOCK)))
        assert await tend_due(database, exchange.objects, EAGER, now=utc_now()) == 0
        await other.execute(select(func.pg_advisory_unlock(LOCK)))
    first, second = await asyncio.gather(*(tend_due(database, exchange.objects, EAGER, now=utc_now()) for _ in range(2)))
    assert sorted((first, second)) == [0, 1]
    assert (await row_of(exchange, resource)).version == 3


async def test_what_goes_wrong_with_one_table_keeps_no_other_waiting(
    exchange: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await exchange.publish(), await exchange.publish()
    for resource in (first, second):
        await push(exchange, resource, "1,a,,\n", "2,b,,\n")
    plain = table_upkeep.check

    def broken(objects: Any, folder: str) -> None:
        if str(first.resource_id) in folder:
            raise ValueError("not foreseen")
        plain(objects, folder)

    monkeypatch.setattr(table_upkeep, "check", broken)
    assert await tend_due(database, exchange.objects, EAGER, now=utc_now()) == 2
    assert [(await row_of(exchange, resource)).version for resource in (first, second)] == [2, 3]


async def test_folds_and_upkeep_go_on_beside_each_other_and_no_row_is_lost(exchange: Any, database: Database) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "0,a,,\n")
    tending = asyncio.create_task(run_upkeep(database, exchange.objects, EAGER))
    for number in range(1, 12):
        await push(exchange, resource, f"{number},a,,\n", kind="append" if number % 3 else "upsert")
    await push(exchange, resource, "5,again,,\n", kind="upsert")
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert sorted(await codes(exchange, resource), key=int) == [str(number) for number in range(12)]
    assert (await row_of(exchange, resource)).sequence == 13


async def test_a_damaged_table_is_told_with_its_remedy_and_rebuilt_from_the_batches(
    exchange: Any, database: Database, tmp_path: Path, capsys: Any
) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "1,a,,\n2,b,,\n", kind="snapshot")
    await push(exchange, resource, "3,c,,\n2,later,,\n", kind="upsert")
    await push(exchange, resource, "1,,,\n", kind="delete")
    grant_id = (await exchange.granted(resource, items=["code", "name"]))["grant_id"]
    whole = (await read(exchange, grant_id)).json()["items"]
    cursor = (await read(exchange, grant_id, limit=1)).json()["next_cursor"]
    damaged = await row_of(exchange, resource)
    for file in folder(exchange, damaged).glob("*.parquet"):
        file.unlink()
    await tend_due(database, exchange.objects, EAGER, now=utc_now())
    assert REGISTRY.get_sample_value("dxmesh_table_damaged") == 1
    with pytest.raises(TableDamaged, match=f"rebuild-table {resource.resource_id}") as raised:
        await push(exchange, resource, "3,d,,\n", kind="upsert")
    assert raised.value.status == 503

    said = await rebuild_table(settings_of(exchange, tmp_path), str(resource.resource_id))
    rebuilt = await row_of(exchange, resource)
    assert rebuilt.table_key == f"tables/{resource.resource_id}.1"
    assert rebuilt.version > damaged.version
    assert "batches up to 4" in said
    assert (await read(exchange, grant_id)).json()["items"] == [whole[1], {"code": "3", "name": "d"}]
    assert (await read(exchange, grant_id, cursor=cursor)).status_code == 410
    [*_, event] = [event for event in await exchange.outbox() if isinstance(event, TableAdvanced)]
    assert (event.table_key, event.table_version, event.sequence) == (rebuilt.table_key, rebuilt.version, 4)
    await push(exchange, resource, "9,z,,\n", kind="upsert")
    assert (await codes(exchange, resource))[-1] == "9"
    await tend_due(database, exchange.objects, EAGER, now=utc_now())
    assert REGISTRY.get_sample_value("dxmesh_table_damaged") == 0
    assert folder(exchange, damaged).exists()
    await database_tended_long_ago(database)
    await tend_due(database, exchange.objects, EAGER, now=utc_now() + timedelta(hours=2))
    assert list(exchange.objects.list_objects(damaged.table_key)) == []
    assert (await codes(exchange, resource))[-1] == "9"


async def database_tended_long_ago(database: Database) -> None:
    async with database.sessions.begin() as tx:
        await tx.execute(update(store.ResourceTable).values(tended_at=utc_now() - timedelta(days=9)))


async def test_a_lost_table_stops_the_fold_instead_of_beginning_anew(exchange: Any, tmp_path: Path) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "1,a,,\n", "2,b,,\n")
    shutil.rmtree(folder(exchange, await row_of(exchange, resource)))
    with pytest.raises(TableDamaged, match="up to 0, and held those up to 2"):
        await push(exchange, resource, "3,c,,\n")
    await rebuild_table(settings_of(exchange, tmp_path), str(resource.resource_id))
    assert await codes(exchange, resource) == ["1", "2", "3"]
    await fold(exchange)
    assert (await row_of(exchange, resource)).row_count == 3


def spoil(exchange: Any, key: str) -> None:
    """Leave half a line where a log begins."""
    Path(exchange.objects.uri(key)).write_text('{"add', encoding="utf-8")


async def test_a_rebuild_that_was_cut_short_is_begun_again(exchange: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "1,a,,\n", "2,b,,\n")
    before = await row_of(exchange, resource)

    def killed(*_: object) -> int:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(table_upkeep, "go_on_from", killed)
        with pytest.raises(RuntimeError):
            await rebuild_table(settings_of(exchange, tmp_path), str(resource.resource_id))
    assert (await row_of(exchange, resource)).table_key == before.table_key
    spoil(exchange, f"{before.table_key}.1/_delta_log/{0:020}.json")
    await rebuild_table(settings_of(exchange, tmp_path), str(resource.resource_id))
    once = await row_of(exchange, resource)
    await rebuild_table(settings_of(exchange, tmp_path), str(resource.resource_id))
    twice = await row_of(exchange, resource)
    assert twice.table_key.endswith(".2")
    assert before.version < once.version < twice.version
    assert await codes(exchange, resource) == ["1", "2"]


async def test_files_joined_for_a_table_that_was_rebuilt_meanwhile_are_not_put_in(exchange: Any, tmp_path: Path) -> None:
    resource = await exchange.publish()
    await push(exchange, resource, "1,a,,\n", "2,b,,\n")
    old = (await row_of(exchange, resource)).table_key
    joined = table_upkeep.join_small(exchange.objects, old, spare_files=1)
    assert joined is not None
    await rebuild_table(settings_of(exchange, tmp_path), str(resource.resource_id))
    await push(exchange, resource, "3,c,,\n")
    rebuilt = await row_of(exchange, resource)
    async with exchange.sessions.begin() as tx:
        await commands.put_joined(tx, exchange.objects, resource.resource_id, old, joined, now=utc_now())
    assert (await row_of(exchange, resource)).version == rebuilt.version
    assert await codes(exchange, resource) == ["1", "2", "3"]


@pytest.mark.parametrize("resource_id", ["nonsense", "0190a000-0000-7000-8000-000000000001"])
async def test_what_has_no_table_is_not_rebuilt(exchange: Any, tmp_path: Path, resource_id: str) -> None:
    with pytest.raises(TableNotBegun, match=resource_id):
        await rebuild_table(settings_of(exchange, tmp_path), resource_id)


PLACE = DataItem(code="place", name="地点", data_type=DataType.TEXT)


async def test_a_new_version_widens_the_table_narrows_nothing_and_is_folded_once(exchange: Any) -> None:
    """Items added, removed, retyped among those kept alike, and narrowed: between batches of both versions that are folded together."""
    first = await exchange.publish()
    await push(exchange, first, "1,塔山街道,5,\n2,府山街道,6,\n")
    grant_id = (await exchange.granted(first, items=["code", "name"]))["grant_id"]
    cursor = (await read(exchange, grant_id, limit=1)).json()["next_cursor"]
    await exchange.accepted(first.resource_id, (HEAD + "3,x,7,\n").encode(), params={"kind": "append"})
    code, name, _, since = first.items
    narrowed = name.model_copy(update={"length": 2})
    retyped = code.model_copy(update={"data_type": DataType.GENERIC})
    second = await exchange.publish(resource_id=first.resource_id, version=2, items=(retyped, narrowed, since, PLACE))
    body = "code,name,since,place\n2,府山,,东街\n4,新,,西街\n".encode()
    await exchange.accepted(first.resource_id, body, params={"kind": "upsert"})
    await exchange.accepted(first.resource_id, b"code,name,since,place\n1,a,,\n", params={"kind": "delete"})
    await fold(exchange)
    await fold(exchange)
    row = await row_of(exchange, second)
    found = table.scan(exchange.objects, row.table_key).sort("sequence_", "row_").collect()
    assert found.select("code", "name", "people", "place").rows() == [
        ("3", "x", 7, None),
        ("2", "府山", None, "东街"),
        ("4", "新", None, "西街"),
    ]
    assert (row.sequence, row.row_count) == (4, 3)
    assert (await read(exchange, grant_id, cursor=cursor)).json()["items"] == [{"code": "2", "name": "府山街道"}]
    await exchange.accepted(first.resource_id, body, params={"kind": "snapshot"})
    await fold(exchange)
    assert table.scan(exchange.objects, row.table_key).collect_schema().names()[2:] == ["code", "name", "since", "place"]


async def test_a_table_rebuilt_over_a_change_of_version_is_equal_row_for_row(exchange: Any, tmp_path: Path) -> None:
    first = await exchange.publish()
    await push(exchange, first, "1,a,5,\n2,b,6,\n")
    code, name, _, since = first.items
    await exchange.publish(resource_id=first.resource_id, version=2, items=(code, name, since, PLACE))
    await exchange.accepted(first.resource_id, b"code,name,since,place\n2,c,,x\n", params={"kind": "upsert"})
    await fold(exchange)
    before = table.scan(exchange.objects, (await row_of(exchange, first)).table_key).sort("sequence_", "row_").collect()
    await rebuild_table(settings_of(exchange, tmp_path), str(first.resource_id))
    after = table.scan(exchange.objects, (await row_of(exchange, first)).table_key).sort("sequence_", "row_").collect()
    assert after.equals(before)
    assert after.schema == before.schema
