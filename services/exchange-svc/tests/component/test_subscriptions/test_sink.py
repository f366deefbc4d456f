"""Rows in a table of the requester's PostgreSQL: as the resource has them, each once, whatever ends meanwhile; tables that do not fit."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text

from dxmesh_local.ports import Ports
from dxmesh_local.postgres import Postgres
from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange_subscriptions import SubscriptionOpened, SubscriptionPaused
from exchange_svc.subscription.store import Subscription

MORE = "code,name,people,since\n330602001,塔山街道,90000,2001-05-01\n330602009,新街道,1,2026-01-01\n".encode()
TYPES = (
    DataItem(code="id", name="编号", data_type=DataType.INTEGER, required=True),
    DataItem(code="day", name="日期", data_type=DataType.DATE, required=True),
    DataItem(code="Order", name="文本", data_type=DataType.LONG_TEXT),
    DataItem(code="money", name="金额", data_type=DataType.MONEY),
    DataItem(code="yes", name="是否", data_type=DataType.LOGICAL),
    DataItem(code="at", name="时间", data_type=DataType.DATETIME),
    DataItem(code="share", name="占比", data_type=DataType.FLOAT),
)


class Theirs:
    """The requester's database."""

    def __init__(self, connection: asyncpg.Connection, url: str) -> None:
        self.connection = connection
        self.url = f"{url}?sslmode=disable"

    async def rows(self, query: str = "SELECT * FROM streets ORDER BY code") -> list[dict[str, Any]]:
        return [dict(row) for row in await self.connection.fetch(query)]

    async def count(self, table: str = "streets") -> int:
        return int(
            await self.connection.fetchval(f"SELECT CASE WHEN to_regclass('{table}') IS NULL THEN 0 ELSE 1 END")
            and await self.connection.fetchval(f"SELECT count(*) FROM {table}")
        )


@pytest.fixture
async def theirs(fresh_database: Any) -> AsyncIterator[Theirs]:
    url = (await fresh_database("")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    yield Theirs(connection, url)
    await connection.close()


def sink(theirs: Theirs, **changes: Any) -> dict[str, Any]:
    return {"mode": "table", "url": theirs.url, "table": "streets", "create": True, **changes}


async def _at(node: Any, made: dict[str, Any], count: int) -> bool:
    return bool((await node.seen(made))["row_count"] >= count)


async def _state(node: Any, made: dict[str, Any], state: str) -> Any:
    found = await node.seen(made)
    return found if found["state"] == state else None


async def test_a_table_is_made_and_kept_as_the_resource_is(node: Any, until: Any, theirs: Theirs) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    made = await node.subscribed(grant, sink(theirs))
    await exchange.accepted(resource.resource_id)
    await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
    await exchange.accepted(resource.resource_id, b"code\n330602002\n", params={"kind": "delete"})
    await node.flow()
    async with node.working():
        await until(lambda: _at(node, made, 6))
    assert [(row["code"], row["people"], str(row["since"])) for row in await theirs.rows()] == [
        ("330602001", 90000, "2001-05-01"),
        ("330602003", 55000, "1999-12-31"),
        ("330602009", 1, "2026-01-01"),
    ]
    [place] = await theirs.rows("SELECT * FROM dxmesh_place")
    assert (str(place["subscription_id"]), place["row_count"]) == (made["subscription_id"], 6)


async def test_a_table_gets_nothing_more_once_its_grant_is_over(node: Any, until: Any, theirs: Theirs) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    over, witness = [await exchange.granted(resource) for _ in range(2)]
    made = await node.subscribed(over, sink(theirs))
    other = await node.subscribed(witness, sink(theirs, table="others"))
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working():
        await until(lambda: _at(node, made, 3))
        await node.post(f"/v1/grants/{over['grant_id']}/termination", {"reason": "课题结束"})
        await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
        await node.flow()
        await until(lambda: _at(node, other, 5))
        assert (await until(lambda: _state(node, made, "ended")))["reason"] == "the grant is terminated"
    assert (await theirs.count(), await theirs.count("others")) == (3, 4)


async def test_credentials_are_sealed_and_never_shown(node: Any, theirs: Theirs) -> None:
    exchange = node.exchange
    grant = await exchange.granted(await exchange.publish())
    await theirs.connection.execute("DROP ROLE IF EXISTS sinker")
    await theirs.connection.execute("CREATE ROLE sinker LOGIN PASSWORD 'hidden-word' SUPERUSER")
    parts = urlsplit(theirs.url)
    url = parts._replace(netloc=f"sinker:hidden-word@{parts.hostname}:{parts.port}").geturl()
    made = await node.subscribed(grant, sink(theirs, url=url))
    assert (made["settings"]["user"], made["settings"]["sslmode"], made["secret"]) == ("sinker", "disable", None)
    assert "hidden-word" not in str(made) + str(await node.seen(made))
    async with exchange.sessions() as tx:
        row = await tx.get_one(Subscription, made["subscription_id"])
        dump = str((await tx.execute(text("SELECT s::text FROM subscription s"))).scalar_one())
    assert row.sealed
    assert b"hidden" not in row.sealed
    assert "hidden" not in dump
    [told] = [event for event in await exchange.outbox() if isinstance(event, SubscriptionOpened)]
    assert "hidden-word" not in told.model_dump_json()
    path = f"/v1/grants/{grant['grant_id']}/subscriptions"
    for body in (
        sink(theirs, url=url.replace("hidden-word", "other-word")),
        sink(theirs, url=url + "&x=1"),
        sink(theirs, url=url, table=""),
    ):
        refused = await node.post(path, body)
        assert refused.status_code == 422, refused.text
        assert "hidden" not in refused.text
        assert "other-word" not in refused.text
    await node.post(made["path"] + "/termination", {"reason": "x"})
    async with exchange.sessions() as tx:
        assert (await tx.get_one(Subscription, made["subscription_id"])).sealed == b"", "forgotten with the subscription"


async def test_every_type_and_a_key_of_several_items_arrive_as_they_are(node: Any, until: Any, theirs: Theirs) -> None:
    exchange = node.exchange
    resource = await exchange.publish(items=TYPES, key=("id", "day"))
    grant = await exchange.granted(resource)
    made = await node.subscribed(grant, sink(theirs))
    body = (
        "id,day,Order,money,yes,at,share\n"
        '9007199254740993,2026-01-02,"a ""quoted"", \\ text\nof two lines",12345678901234567890.12,true,2026-01-02T08:00:00+08:00,0.5\n'
        "2,2026-01-02,,,,,\n"
        "3,2026-01-03,x,1,false,2026-01-03T00:00:00Z,2\n"
    )
    await exchange.accepted(resource.resource_id, body.encode())
    await exchange.accepted(resource.resource_id, b"id,day\n3,2026-01-03\n", params={"kind": "delete"})
    await node.flow()
    async with node.working():
        await until(lambda: _at(node, made, 4))
    two, first = await theirs.rows("SELECT * FROM streets ORDER BY id")
    assert two["id"] == 2
    assert [value for name, value in two.items() if name not in ("id", "day")] == [None] * 5
    assert first["id"] == 9007199254740993
    assert first["Order"] == 'a "quoted", \\ text\nof two lines'
    assert (first["money"], first["yes"], first["share"]) == (Decimal("12345678901234567890.12"), True, 0.5)
    assert first["at"].isoformat() == "2026-01-02T00:00:00+00:00"


UNFIT = {
    "CREATE TABLE streets (code text PRIMARY KEY, name text, people text, since date)": ["people", "is text", "bigint"],
    "CREATE TABLE streets (code text PRIMARY KEY, name text, people bigint)": ["since", "is missing", "date"],
    "CREATE TABLE streets (code text, name text, people bigint, since date)": ["code", "no unique index"],
    "CREATE TABLE streets (code text PRIMARY KEY, name varchar(2), people bigint, since date)": ["name", "2 characters"],
    "CREATE TABLE streets (code text PRIMARY KEY, name text, people bigint, since date NOT NULL)": ["since", "null"],
    "CREATE TABLE streets (code text PRIMARY KEY, name text, people bigint, since date, own int NOT NULL)": ["own", "default"],
}


async def test_a_table_of_another_shape_is_refused_and_says_which_column_differs(node: Any, theirs: Theirs) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    path = f"/v1/grants/{grant['grant_id']}/subscriptions"
    for statement, words in UNFIT.items():
        await theirs.connection.execute("DROP TABLE IF EXISTS streets")
        await theirs.connection.execute(statement)
        answer = await node.post(path, sink(theirs))
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, "table-unfit"), statement
        assert all(word in answer.json()["detail"] for word in words), answer.json()["detail"]
        assert answer.json()["errors"][0]["pointer"] == f"/table/{words[0]}"
    await theirs.connection.execute("DROP TABLE streets")
    missing = await node.post(path, sink(theirs, create=False))
    assert missing.status_code == 422
    assert "CREATE TABLE" in missing.json()["detail"]
    await theirs.connection.execute(
        "CREATE TABLE streets (code varchar(40) PRIMARY KEY, name text, people numeric, since date, own int NOT NULL DEFAULT 7)"
    )
    assert (await node.post(path, sink(theirs))).status_code == 422, "a code has any length"
    await theirs.connection.execute("ALTER TABLE streets ALTER code TYPE text")
    assert (await node.post(path, sink(theirs))).status_code == 201


async def test_a_database_that_may_not_or_cannot_be_entered_is_refused(node: Any, theirs: Theirs) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    path = f"/v1/grants/{grant['grant_id']}/subscriptions"
    cases = {
        "postgresql://u:p@10.0.0.1/d": "destination-refused",
        "postgresql://u:p@[::1]/d": "destination-refused",
        "postgresql://u:p@nowhere.invalid/d": "destination-unknown",
        "postgresql://u:p@8.8.8.8/d?sslmode=disable": "subscription-invalid",
        "postgresql://u:p@127.0.0.1:1/d?sslmode=disable": "database-away",
        theirs.url.replace("sslmode=disable", "sslmode=verify-full"): "database-away",
        "mysql://u:p@127.0.0.1/d": "subscription-invalid",
        "postgresql://127.0.0.1/d": "subscription-invalid",
        "postgresql://u:p@127.0.0.1:x/d": "subscription-invalid",
        "postgresql://u:p@127.0.0.1/d?sslmode=prefer": "subscription-invalid",
        "postgresql://u:p@127.0.0.1/d?host=10.0.0.1": "subscription-invalid",
        "postgresql://u:p%00@127.0.0.1/d": "subscription-invalid",
    }
    for url, slug in cases.items():
        answer = await node.post(path, sink(theirs, url=url))
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, slug), (url, answer.text)
    refused = await node.post(path, sink(theirs, url=theirs.url.replace("sslmode=disable", "sslmode=require")))
    assert "offers no TLS" in refused.json()["detail"], refused.text
    for wrong in ({"table": "a\0b"}, {"table": "x" * 64}, {"schema": 'a"b'}, {"schema": "nowhere"}):
        assert (await node.post(path, sink(theirs, **wrong))).status_code == 422, wrong


async def test_a_table_that_changes_its_shape_pauses_and_goes_on_once_it_fits(node: Any, until: Any, theirs: Theirs) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    made = await node.subscribed(grant, sink(theirs))
    await theirs.connection.execute("ALTER TABLE streets DROP COLUMN people")
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working():
        found = await until(lambda: _state(node, made, "paused"))
        assert "people" in found["reason"]
        [told] = [event for event in await exchange.outbox() if isinstance(event, SubscriptionPaused)]
        assert (told.by, "people" in told.reason) == ("node", True)
        assert (await node.post(made["path"] + "/resumption", {"reason": "x"})).status_code == 422, "it does not fit yet"
        await theirs.connection.execute("ALTER TABLE streets ADD COLUMN people bigint")
        assert (await node.post(made["path"] + "/resumption", {"reason": "已改"})).status_code == 201
        await until(lambda: _at(node, made, 3))
    assert await theirs.count() == 3


async def test_killed_between_the_effect_and_its_note_no_row_is_there_twice(node: Any, until: Any, theirs: Theirs) -> None:
    exchange = node.exchange
    resource = await exchange.publish(key=())
    grant = await exchange.granted(resource)
    made = await node.subscribed(grant, sink(theirs))
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working():
        await until(lambda: _at(node, made, 3))
    await exchange.accepted(resource.resource_id, MORE)
    await node.flow()
    async with exchange.sessions.begin() as tx:  # our own note of it has to wait here
        await tx.execute(text("SELECT 1 FROM subscription FOR UPDATE"))
        async with node.process() as process:
            await until(lambda: _count(theirs, 5))
            process.kill()
            await process.wait()
    assert (await node.seen(made))["row_count"] == 3
    await exchange.accepted(resource.resource_id, "code,name,people,since\n1,末,1,\n".encode())
    await node.flow()
    async with node.working():
        await until(lambda: _count(theirs, 6))
        await node.post(made["path"] + "/pause", {"reason": "核对"})
    assert sorted(row["code"] for row in await theirs.rows()) == [
        "1",
        "330602001",
        "330602001",
        "330602002",
        "330602003",
        "330602009",
    ]
    [place] = await theirs.rows("SELECT row_count FROM dxmesh_place")
    assert place["row_count"] == 6


async def _count(theirs: Theirs, count: int) -> bool:
    return await theirs.count() == count


async def test_a_replay_brings_the_table_to_the_same_rows(node: Any, until: Any, theirs: Theirs) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    made = await node.subscribed(grant, sink(theirs))
    await exchange.accepted(resource.resource_id)
    await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
    await node.flow()
    async with node.working(batch_rows=1):
        await until(lambda: _at(node, made, 5))
        before = await theirs.rows()
        await theirs.connection.execute("DELETE FROM streets WHERE code > '330602001'")
        await node.post(made["path"] + "/replay", {})
        await until(lambda: _at(node, made, 10))
    assert await theirs.rows() == before


async def test_while_the_database_is_away_nothing_is_lost(node: Any, until: Any, server_folder: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    server = Postgres(server_folder / "theirs", Ports.free().postgres, fast=True)
    await asyncio.to_thread(server.start)
    try:
        url = server.url("postgres").replace("+asyncpg", "") + "?sslmode=disable"
        made = await node.subscribed(grant, {"mode": "table", "url": url, "table": "streets", "create": True})
        await exchange.accepted(resource.resource_id)
        await node.flow()
        async with node.working():
            await until(lambda: _at(node, made, 3))
            await asyncio.to_thread(server.stop)
            await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
            await node.flow()
            await until(lambda: _failing(node, made))
            await asyncio.to_thread(server.start)
            await until(lambda: _at(node, made, 5))
        found = await node.seen(made)
        assert (found["state"], found["failing_since"]) == ("active", None)
    finally:
        await asyncio.to_thread(server.stop)


async def _failing(node: Any, made: dict[str, Any]) -> bool:
    return (await node.seen(made))["failing_since"] is not None
