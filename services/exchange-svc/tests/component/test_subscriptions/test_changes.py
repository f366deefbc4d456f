"""Changes of a grant's rows, read from the log of its view on a real broker: with the rows they are exactly the table."""

import random
from typing import Any
from uuid import UUID

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from dxmesh_local.kafka import Kafka
from dxmesh_runtime.settings import KafkaSettings


@pytest.fixture
def kafka_settings(kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


async def changes(node: Any, grant: Any, cursor: str | None = None, **params: Any) -> Any:
    asked = params | ({} if cursor is None else {"cursor": cursor})
    headers = node.exchange.steward(node.exchange.requester)
    return await node.exchange.client.get(f"/v1/grants/{grant['grant_id']}/changes", params=asked, headers=headers)


async def followed(node: Any, grant: Any, cursor: str | None, *, limit: int = 1000) -> tuple[list[Any], str | None]:
    """Read to the end of the log as it is."""
    seen: list[Any] = []
    while True:
        answer = await changes(node, grant, cursor, limit=limit)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        seen, cursor = seen + page["items"], page["next_cursor"]
        if page["is_end"]:
            return seen, cursor


async def rows(node: Any, grant: Any) -> Any:
    headers = node.exchange.steward(node.exchange.requester)
    return await node.exchange.client.get(f"/v1/grants/{grant['grant_id']}/rows", headers=headers)


def slug(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).rsplit("/", 1)[1]


def csv(found: dict[str, Any]) -> bytes:
    return ("code,name,people\n" + "".join(f"{code},{name},1\n" for code, name in found.items())).encode()


@pytest.mark.parametrize("where", [[], [{"item": "name", "op": "prefix", "values": ["a", "b"]}]], ids=["all", "some"])
async def test_rows_and_changes_together_are_exactly_the_table(node: Any, where: Any) -> None:
    chance = random.Random(20261123)
    resource = await node.exchange.publish()
    grant = await node.exchange.granted(resource, items=["code", "name"], terms={"where": where})
    held: dict[str, Any] = {}
    cursor: str | None = None
    for number in range(6):
        codes = chance.sample(range(12), 5)
        kind = "delete" if number % 3 == 2 else "upsert"
        await node.exchange.accepted(
            resource.resource_id, csv({str(c): chance.choice("abc") + str(number) for c in codes}), params={"kind": kind}
        )
        if number == 1:  # the table is behind the log: what it lacks comes as changes
            await node.flow()
        if number == 0:
            await node.exchange.fold()
        if number == 2:
            answer = await rows(node, grant)
            held = {row["code"]: row["name"] for row in answer.json()["items"]}
            cursor = answer.headers["changes-cursor"]
        if number in (3, 5):
            await node.flow()
            seen, cursor = await followed(node, grant, cursor, limit=2)
            for change in seen:
                if change["op"] == "delete":
                    held.pop(change["key"], None)
                else:
                    assert change["key"] == change["value"]["code"]
                    held[change["key"]] = change["value"]["name"]
            await node.exchange.fold()
            table = {row["code"]: row["name"] for row in (await rows(node, grant)).json()["items"]}
            assert held == table, number
    assert held
    again, _ = await followed(node, grant, cursor)
    assert again == []


async def test_changes_tell_batch_row_and_order_and_every_reader_has_its_own_place(node: Any) -> None:
    resource = await node.exchange.publish()
    grant = await node.exchange.granted(resource, items=["code", "name"])
    assert (await changes(node, grant)).json()["items"] == []
    first = await node.exchange.accepted(resource.resource_id, csv({"1": "a", "2": "b"}), params={"kind": "upsert"})
    second = await node.exchange.accepted(resource.resource_id, b"code\n1\n", params={"kind": "delete"})
    await node.flow()
    seen, cursor = await followed(node, grant, None, limit=1)
    of_one = [(one["op"], one["batch_id"], one["row"], one["value"]) for one in seen if one["key"] == "1"]
    assert of_one == [("upsert", first["batch_id"], 1, {"code": "1", "name": "a"}), ("delete", second["batch_id"], 1, None)]
    assert (await followed(node, grant, cursor))[0] == []
    twice = [sorted((await followed(node, grant, None, limit=limit))[0], key=str) for limit in (1000, 2)]
    assert twice[0] == twice[1] == sorted(seen, key=str)
    other = await node.exchange.granted(resource, items=["code", "name"])
    assert slug(await changes(node, other, cursor)) == (422, "cursor-invalid")
    for wrong in ("x", "é", cursor[:-2]):
        assert (await changes(node, grant, wrong)).status_code == 422
    for limit in (0, 10_001, "all"):
        assert (await changes(node, grant, limit=limit)).status_code == 422
    usage = await node.exchange.client.get("/v1/apis/usage", headers=node.exchange.authority)
    assert {row["api"] for row in usage.json()["items"]} == {"pull"}


async def test_what_is_kept_no_longer_is_gone_and_the_rows_say_where_to_go_on(node: Any, kafka: Kafka) -> None:
    resource = await node.exchange.publish()
    grant = await node.exchange.granted(resource, items=["code", "name"])
    await node.exchange.accepted(resource.resource_id, csv({str(n): "a" for n in range(50)}), params={"kind": "upsert"})
    await node.flow()
    page = (await changes(node, grant, limit=1)).json()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    [told] = await admin.describe_topics([grant["topic"]])
    places = [TopicPartition(grant["topic"], part["partition"]) for part in told["partitions"]]
    await admin.delete_records({place: RecordsToDelete(before_offset=-1) for place in places})
    await admin.close()
    gone = await changes(node, grant, page["next_cursor"])
    assert slug(gone) == (410, "changes-gone")
    assert "Changes-Cursor" in gone.json()["detail"]
    await node.exchange.fold()
    cursor = (await rows(node, grant)).headers["changes-cursor"]
    await node.exchange.accepted(resource.resource_id, csv({"77": "b"}), params={"kind": "upsert"})
    await node.flow()
    assert [one["key"] for one in (await followed(node, grant, cursor))[0]] in (["77"],) or slug(await changes(node, grant, cursor))[
        0
    ] == 410


async def test_a_snapshot_sends_a_reader_whose_records_have_no_keys_back_to_the_rows(node: Any) -> None:
    resource = await node.exchange.publish()
    grant = await node.exchange.granted(resource, items=["name"])
    await node.exchange.accepted(resource.resource_id, csv({"1": "a", "2": "a"}), params={"kind": "snapshot"})
    cursor = (await rows(node, grant)).headers["changes-cursor"]
    await node.flow()
    assert len((await followed(node, grant, cursor))[0]) == 2
    await node.exchange.accepted(resource.resource_id, csv({"1": "b"}), params={"kind": "snapshot"})
    await node.flow()
    assert slug(await changes(node, grant, cursor)) == (410, "changes-gone")
    await node.exchange.fold()
    answer = await rows(node, grant)
    assert [row["name"] for row in answer.json()["items"]] == ["b"]
    assert (await followed(node, grant, answer.headers["changes-cursor"]))[0] == []


async def test_changes_stop_with_the_grant(node: Any) -> None:
    resource = await node.exchange.publish()
    grant = await node.exchange.granted(resource, items=["code"])
    await node.exchange.accepted(resource.resource_id, params={"kind": "upsert"})
    await node.flow()
    _, cursor = await followed(node, grant, None)
    path = f"/v1/grants/{grant['grant_id']}/suspension"
    await node.post(path, {"reason": "misuse"}, by=node.exchange.provider)
    assert slug(await changes(node, grant, cursor)) == (403, "grant-suspended")
    await node.exchange.expire(grant["grant_id"])
    assert slug(await changes(node, grant, cursor)) in ((403, "grant-over"), (403, "grant-suspended"))
    headers = node.exchange.steward(node.exchange.stranger)
    foreign = await node.exchange.client.get(f"/v1/grants/{grant['grant_id']}/changes", headers=headers)
    assert slug(foreign) == (404, "grant-not-found")
    assert UUID(grant["grant_id"])
