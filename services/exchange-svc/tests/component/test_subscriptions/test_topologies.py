"""One to one, one to many, many to many: who gets what of whom (X03), each by a place of its own; and the receiver of the examples."""

import asyncio
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

RECEIVER = Path(__file__).parents[5] / "examples" / "webhooks" / "receiver.py"
OTHER = "code,name,people,since\n330603001,柯桥街道,70000,2002-01-01\n".encode()


def _codes(subscriber: Any) -> set[str]:
    return {row["code"] for row in subscriber.rows}


async def test_one_provider_serves_one_requester(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource, items=["code", "people"])
    subscriber = await node.subscriber()
    await node.hooked(grant, subscriber)
    await node.flow()
    async with node.working():
        await until(lambda: len(subscriber.rows) == 3)
    assert _codes(subscriber) == {"330602001", "330602002", "330602003"}
    assert all(row.keys() == {"code", "people"} for row in subscriber.rows)


async def test_one_provider_serves_many_requesters_from_one_topic_each_by_its_own_place(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    readers = [exchange.requester, exchange.stranger]
    grants = [await exchange.granted(resource, by=one) for one in readers]
    assert len({grant["topic"] for grant in grants}) == 1
    subscribers = [await node.subscriber() for _ in readers]
    made = [await node.hooked(grant, subscriber, by=reader) for grant, subscriber, reader in zip(grants, subscribers, readers, strict=True)]
    await node.flow()
    async with node.working():
        await until(lambda: all(len(one.rows) == 3 for one in subscribers))
        await node.post(made[1]["path"] + "/pause", {"reason": "维护"}, by=readers[1])
        await exchange.accepted(resource.resource_id, OTHER)
        await node.flow()
        await until(lambda: len(subscribers[0].rows) == 4)

        async def ahead() -> bool:  # a place is noted once the rows were taken
            places = [(await node.seen(one, by=reader))["place"] for one, reader in zip(made, readers, strict=True)]
            return sum(places[0]["offsets"].values()) > sum(places[1]["offsets"].values())

        await until(ahead)
    assert len(subscribers[1].rows) == 3, "one that stands still holds nobody up, and is held up by nobody"


async def test_many_providers_serve_many_requesters_and_nobody_gets_what_it_was_not_granted(node: Any, until: Any) -> None:
    exchange = node.exchange
    streets, fields = await exchange.publish(), await exchange.publish(provider=exchange.stranger, resource_code="330600-2")
    await exchange.accepted(streets.resource_id)
    await exchange.accepted(fields.resource_id, OTHER, by=exchange.stranger)
    wanted = {
        "both": (exchange.requester, [streets, fields], {"330602001", "330602002", "330602003", "330603001"}),
        "streets": (exchange.stranger, [streets], {"330602001", "330602002", "330602003"}),
        "fields": (exchange.provider, [fields], {"330603001"}),
    }
    subscribers = {}
    for name, (reader, resources, _) in wanted.items():
        subscribers[name] = await node.subscriber()
        for resource in resources:
            await node.hooked(await exchange.granted(resource, by=reader), subscribers[name], by=reader)
    await node.flow()
    async with node.working():
        await until(lambda: all(len(subscribers[name].rows) >= len(codes) for name, (_, _, codes) in wanted.items()))
    for name, (_, _, codes) in wanted.items():
        assert _codes(subscribers[name]) == codes
        assert len(subscribers[name].rows) == len(codes)


async def test_the_receiver_of_the_examples_keeps_a_copy_also_through_a_replay(node: Any, until: Any, tmp_path: Path) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource, items=["code", "people"])
    kept, copy = tmp_path / "subscription.json", tmp_path / "copy.sqlite"
    arguments = (str(RECEIVER), str(kept), "0", str(copy), "330600.dxmesh")
    receiver = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=dict(os.environ)
    )
    try:
        assert receiver.stdout is not None
        url = (await asyncio.wait_for(receiver.stdout.readline(), 30)).decode().split()[-1]
        made = await node.subscribed(grant, {"mode": "webhook", "url": url})
        kept.write_text(json.dumps({"secret": "whsec_" + "A" * 44}))
        await node.flow()
        async with node.working():
            await until(lambda: _refused(node, made))
            assert _rows(copy) == {}, "a message under another secret is not taken"
            kept.write_text(json.dumps(made))
            await until(lambda: len(_rows(copy)) == 3)
            await exchange.accepted(resource.resource_id, b"code\n330602002\n", params={"kind": "delete"})
            await node.flow()
            await until(lambda: len(_rows(copy)) == 2)
            await node.post(made["path"] + "/replay", {})
            await until(lambda: _again(node, made))
        assert _rows(copy) == {"330602001": {"code": "330602001", "people": 81234}, "330602003": {"code": "330602003", "people": 55000}}
    finally:
        receiver.kill()
        await receiver.wait()


async def _refused(node: Any, made: dict[str, Any]) -> bool:
    return "401" in ((await node.seen(made))["failure"] or "")


async def _again(node: Any, made: dict[str, Any]) -> bool:
    return bool((await node.seen(made))["row_count"] == 8)


def _rows(path: Path) -> dict[str, Any]:
    with sqlite3.connect(path) as db:
        found = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM row")}
    db.close()
    return found
