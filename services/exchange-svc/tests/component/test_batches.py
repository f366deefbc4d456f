"""Batches once they are taken: what each kind needs, under which version, and who sees them in which order."""

from typing import Any

from dxmesh_schemas.catalog import DataItem, DataType

NDJSON = b'{"code":"330602001","name":"a","people":3,"since":"2001-05-01"}\n{"code":"330602002","name":"b","people":null,"since":null}\n'


async def test_upsert_and_delete_need_a_key(exchange: Any) -> None:
    keyless = await exchange.publish(key=())
    for kind in ("upsert", "delete"):
        answer = await exchange.push(keyless.resource_id, params={"kind": kind})
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, "key-missing")
    assert (await exchange.push(keyless.resource_id, params={"kind": "snapshot"})).status_code == 201


async def test_a_delete_needs_the_key_items_only(exchange: Any) -> None:
    resource = await exchange.publish()
    assert (await exchange.push(resource.resource_id, b"code\n330602001\n", params={"kind": "delete"})).status_code == 201


async def test_a_batch_keeps_the_version_it_was_received_under(exchange: Any) -> None:
    first = await exchange.publish()
    later = (*first.items, DataItem(code="area", name="面积", data_type=DataType.NUMBER, scale=2))
    batch = await exchange.pushed(first.resource_id)
    await exchange.publish(resource_id=first.resource_id, version=2, items=later)
    await exchange.publish(resource_id=first.resource_id, version=1)
    second = await exchange.pushed(first.resource_id, b"code,name,area\n1,a,2.50\n")
    assert (batch["resource_version"], second["resource_version"]) == (1, 2), "an old version that comes late changes nothing"


async def test_batches_are_seen_by_their_sender_and_the_authority_only(exchange: Any) -> None:
    resource = await exchange.publish()
    made = [await exchange.pushed(resource.resource_id, NDJSON, headers={"Content-Type": "application/x-ndjson"}) for _ in range(3)]
    for path in (f"/v1/batches/{made[0]['batch_id']}", f"/v1/resources/{resource.resource_id}/batches"):
        assert (await exchange.client.get(path, headers=exchange.steward(exchange.provider))).status_code == 200
        assert (await exchange.client.get(path, headers=exchange.authority)).status_code == 200
        assert (await exchange.client.get(path, headers=exchange.steward(exchange.stranger))).status_code == 404
    for more in ("quarantine", "deliveries"):
        path = f"/v1/batches/{made[0]['batch_id']}/{more}"
        assert (await exchange.client.get(path, headers=exchange.steward(exchange.stranger))).status_code == 404


async def test_lists_go_on_where_they_stopped(exchange: Any) -> None:
    resource = await exchange.publish()
    made = [(await exchange.pushed(resource.resource_id))["batch_id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        url = f"/v1/resources/{resource.resource_id}/batches"
        page = (await exchange.client.get(url, params=params, headers=exchange.steward(exchange.provider))).json()
        seen += [row["batch_id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    wrong = await exchange.client.get(url, params={"cursor": "nonsense"}, headers=exchange.steward(exchange.provider))
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "query:cursor")
