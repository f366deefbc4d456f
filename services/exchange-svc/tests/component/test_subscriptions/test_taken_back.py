"""Terms that become narrower while rows are on their way: nothing outside them leaves any more, and what is there is taken back."""

from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dxmesh_runtime import signing
from dxmesh_runtime.db import utc_now
from exchange_svc.enforcement.rows import token_keys
from exchange_svc.package.worker import Workshop
from exchange_svc.subscription import store as subscriptions
from exchange_svc.subscription.courier import DestinationFailed
from exchange_svc.webhook.delivery import Webhook

MORE = "code,name,people,since\n330602003,北海街道,1,2000-01-01\n330602004,城南街道,2,2000-01-02\n".encode()
ONE = {"where": [{"item": "code", "op": "eq", "value": "330602001"}]}
SIGNED = {"reason": "按最小够用收窄", "approved_by": "局长"}


@pytest.fixture
async def theirs(fresh_database: Any) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    url = (await fresh_database("")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    yield connection, f"{url}?sslmode=disable"
    await connection.close()


async def narrow(node: Any, grant: Any, **body: Any) -> dict[str, Any]:
    answer = await node.post(f"/v1/grants/{grant['grant_id']}/terms", SIGNED | body, by=node.exchange.provider)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def held(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch("SELECT code, name, people, since FROM streets ORDER BY code")]


async def test_narrower_terms_stop_what_waits_and_delete_what_readers_have(node: Any, until: Any, theirs: Any) -> None:
    connection, url = theirs
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource)
    subscriber = await node.subscriber()
    hook = await node.hooked(grant, subscriber)
    await node.subscribed(grant, {"mode": "table", "url": url, "table": "streets", "create": True})
    await node.flow()
    async with node.working():
        await until(lambda: len(subscriber.rows) == 3)
        await until(lambda: _count(connection, 3))
    await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
    await node.flow()  # on the former topic, and nobody has taken it yet
    changed = await narrow(node, grant, terms=ONE, items=["code", "name"])
    await node.flow()
    async with node.working():
        await until(lambda: _count(connection, 1))
        await until(lambda: _has(node, hook, 8))
    assert await held(connection) == [("330602001", "塔山街道", None, None)], "nothing stays of items that are granted no more"
    later = subscriber.taken[1:]
    events = [event for call in later for event in call.events]
    assert {event["source"] for event in events} == {f"/exchange-svc/views/{changed['view_id']}"}, "the former topic is not drained"
    assert [event["data"] for event in events if "data" in event] == [{"code": "330602001", "name": "塔山街道"}]
    gone = sorted(event["subject"] for event in events if "data" not in event)
    assert gone == ["330602002", "330602003", "330602003", "330602004"], (
        "each row that the former filter let out, whether it was taken or not"
    )


async def test_a_message_that_waits_is_given_up_when_the_terms_become_narrower(node: Any, until: Any, answered: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource)
    refusing = True

    async def answer(_: Any) -> bytes:
        return answered(503 if refusing else 204)

    subscriber = await node.subscriber(answer=answer)
    made = await node.hooked(grant, subscriber)
    await node.flow()
    courier = Webhook(node.means())

    async def step() -> bool:
        async with exchange.sessions() as tx:
            standing = await subscriptions.find_standing(tx, made["subscription_id"], now=utc_now())
        with suppress(DestinationFailed):
            await courier.step(standing)
        return bool(subscriber.taken)

    try:
        await until(step)
        subscriber.calls.clear()
        await narrow(node, grant, terms=ONE)
        await node.flow()
        refusing = False
        await until(step)
    finally:
        await courier.close()
    assert {event.get("data", {}).get("code") for call in subscriber.taken for event in call.events} == {"330602001", None}


async def test_a_key_that_is_hidden_now_pauses_a_table_until_it_is_empty(node: Any, until: Any, theirs: Any) -> None:
    connection, url = theirs
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource)
    made = await node.subscribed(grant, {"mode": "table", "url": url, "table": "streets", "create": True})
    await node.flow()
    async with node.working():
        await until(lambda: _count(connection, 3))
        await narrow(node, grant, terms={"masks": [{"item": "code", "mask": "pseudonym"}]})
        await node.flow()
        found = await until(lambda: _paused(node, made))
        assert "empty the table, resume, and replay" in found["reason"]
        await connection.execute("DELETE FROM streets")
        assert (await node.post(made["path"] + "/resumption", {"reason": "已清空"})).status_code == 201
        assert (await node.post(made["path"] + "/replay", {})).status_code in (200, 201)
        await until(lambda: _count(connection, 3))
    assert all(len(row[0]) == 32 for row in await held(connection))


async def test_a_package_of_wider_terms_is_gone_with_them(node: Any, tmp_path: Path) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    grant = await exchange.granted(resource)
    made = await node.subscribed(grant, {"mode": "file"})
    key = signing.load_key(tmp_path / "node.pem")
    sign = partial(signing.sign_jws, key, typ="dxmesh-package+jws")
    workshop = Workshop(node.database, exchange.objects, tmp_path / "packages", "330600", sign, token_keys(b"node"))
    asked = (await node.post(made["path"] + "/packages")).json()
    assert await workshop.make_next()
    assert (await node.get(asked["link"])).status_code == 200
    await narrow(node, grant, terms=ONE)
    answer = await node.get(asked["link"])
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (410, "package-gone"), answer.text
    await workshop.tidy()
    assert not any(name.startswith("packages/") for name in set(exchange.keys()))


async def test_a_way_that_the_terms_leave_out_brings_nothing_more(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant, other = await exchange.granted(resource), await exchange.granted(resource, by=exchange.stranger)
    subscriber, witness = await node.subscriber(), await node.subscriber()
    left, kept = await node.hooked(grant, subscriber), await node.hooked(other, witness, by=exchange.stranger)
    await narrow(node, grant, terms={"modes": ["pull"]})
    async with exchange.sessions() as tx:
        assert [str(one) for one in await subscriptions.list_due(tx, now=utc_now())] == [kept["subscription_id"]]
        assert await subscriptions.find_standing(tx, left["subscription_id"], now=utc_now()) is None
    await node.flow()
    async with node.working():
        await until(lambda: len(witness.rows) == 3)
    assert subscriber.taken == []
    assert (await node.seen(left))["held_by"] == "the grant is for pull, not for webhook"


async def _count(connection: asyncpg.Connection, count: int) -> bool:
    return bool(await connection.fetchval("SELECT count(*) FROM streets") == count)


async def _has(node: Any, made: dict[str, Any], count: int) -> bool:
    return bool((await node.seen(made))["row_count"] >= count)


async def _paused(node: Any, made: dict[str, Any]) -> Any:
    found = await node.seen(made)
    return found if found["state"] == "paused" else None
