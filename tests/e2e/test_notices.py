"""A breaking change with a notice, in a whole mesh: a foreign reader has both topics until the day, and nothing twice or never."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from dxmesh_client import publication
from dxmesh_local.mesh import Mesh
from dxmesh_runtime.settings import KafkaSettings
from tests.e2e.node import Department, Node, csv_of, librdkafka, until

APPROVER = "政务数据共享工作机构负责人"
CODE = {"code": "id", "name": "编号", "data_type": "C", "required": True, "length": 20}
ITEMS = [
    CODE,
    {"code": "households", "name": "户数", "data_type": "I"},
    {"code": "contact", "name": "联系人", "data_type": "C", "length": 20},
]
COMING = [CODE, {"code": "households", "name": "户数", "data_type": "I", "required": True, "maximum": 100}]


def read(kafka: KafkaSettings, topic: str, expected: int) -> dict[tuple[str, int], Any]:
    """Read a topic with librdkafka, by (batch, row), until `expected` rows came and no more follow; a row that comes twice fails."""
    settings = librdkafka(kafka) | {"group.id": str(uuid4()), "isolation.level": "read_committed", "enable.auto.commit": False}
    reader = Consumer(settings)
    found: dict[tuple[str, int], Any] = {}

    def whole() -> bool:
        while messages := reader.consume(100, timeout=1):
            for message in messages:
                assert message.error() is None, message.error()
                headers = dict(message.headers())
                place = headers["batch"].decode(), int(headers["row"])
                assert place not in found, f"{place} came twice"
                found[place] = message.key().decode(), json.loads(message.value())
        return len(found) >= expected

    try:
        partitions = reader.list_topics(topic, timeout=30).topics[topic].partitions
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        until(whole, 60, f"{expected} rows on {topic} did not come")
    finally:
        reader.close()
    return found


def announced(node: Node, provider: Department, resource_id: UUID) -> dict[str, Any]:
    """Announce a version without the contact, whose count of households is required and at most 100."""
    path = f"{node.profile.catalog}/v1/resources/{resource_id}"
    until(lambda: _grants(node), 60, "the catalogue did not learn of the grant")
    shown = provider.client.call("GET", path).json()
    body = {
        name: shown[name] for name in ("system_id", "name", "summary", "class_path", "update_cycle", "standing_consent", "steward", "key")
    }
    provider.client.call("PUT", path, json=body | {"items": COMING})
    found = publication.put_in_force(provider.client, node.authority, resource_id, assessed_by=APPROVER)
    assert found["draft_state"] == "announced", found
    return found


def _grants(node: Node) -> int:
    return asyncio.run(_ask(node.mesh, "catalog_svc", "SELECT count(*) FROM grant_in_force"))


async def _ask(mesh: Mesh, package: str, query: str, *values: object) -> Any:
    connection = await asyncpg.connect(mesh.database_url(package).replace("+asyncpg", ""))
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


def test_both_versions_are_delivered_until_the_day_and_the_new_one_from_then_on(mesh: Mesh, node: Node, tmp_path: Path) -> None:
    provider, requester = node.department("预告甲局"), node.department("预告乙局")
    resource_id = node.resource(provider, "预告台账", ITEMS, key=["id"])
    grant_id = node.grant(requester, resource_id).grant_id

    def push(name: str, rows: list[dict[str, Any]], **options: Any) -> str:
        batch, _ = provider.client.push(resource_id, csv_of(rows, tmp_path / f"{name}.csv"), **options)
        return str(batch.batch_id)

    def grant() -> dict[str, Any]:
        shown: dict[str, Any] = requester.client.call("GET", f"{node.profile.exchange}/v1/grants/{grant_id}").json()
        return shown

    first = push("first", [{"id": "a", "households": 12, "contact": "x"}, {"id": "b", "households": 7, "contact": "y"}])
    announced(node, provider, resource_id)
    until(lambda: grant()["coming"], 60, "the announcement did not arrive")
    second = push("second", [{"id": "c", "households": 3, "contact": "z"}, {"id": "d", "households": 500, "contact": "z"}])
    both = grant()
    old, new = both["topic"], both["coming"]["topic"]
    assert (both["version"], both["coming"]["version"], both["coming"]["items"]) == (1, 2, ["id", "households"])
    before = read(mesh.kafka, old, 4)
    assert before[first, 1] == ("a", {"id": "a", "households": 12, "contact": "x"})
    in_coming_form = {
        (first, 1): ("a", {"id": "a", "households": 12}),
        (first, 2): ("b", {"id": "b", "households": 7}),
        (second, 1): ("c", {"id": "c", "households": 3}),
    }
    assert read(mesh.kafka, new, 3) == in_coming_form

    deliveries = f"{node.profile.exchange}/v1/batches/{second}/deliveries"
    until(lambda: len(provider.client.call("GET", deliveries).json()["items"]) == 2, 60, "the deliveries were not noted")
    withheld = {one["topic"]: (one["withheld_count"], one["misfits"]) for one in provider.client.call("GET", deliveries).json()["items"]}
    assert withheld == {old: (0, []), new: (1, [{"item": "households", "row_count": 1}])}

    end = "UPDATE resource SET effective_at = now() WHERE resource_id = $1 AND effective_at IS NOT NULL RETURNING version"
    assert asyncio.run(_ask(mesh, "catalog_svc", end, resource_id)) == 1, "the notice is made to end"
    until(lambda: grant()["topic"] == new, 60, "the version did not come in force")
    assert (grant()["version"], grant()["coming"]) == (2, None)
    third = push("third", [{"id": "e", "households": 9}])
    assert read(mesh.kafka, new, 4) == in_coming_form | {(third, 1): ("e", {"id": "e", "households": 9})}
    assert read(mesh.kafka, old, 4) == before, "the old topic stays as it was, for whoever has not read it to its end"
    node.balanced_ledger()
