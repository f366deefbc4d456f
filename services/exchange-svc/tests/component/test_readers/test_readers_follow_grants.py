"""A reader has what its grants give as long as they give it, also while it is connected."""

import contextlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from aiokafka.errors import KafkaError
from sqlalchemy import update

from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced
from dxmesh_schemas.exchange_readers import ReaderRegistered, ReaderRevoked, ReaderRotated
from exchange_svc.grant.store import Grant


async def test_a_connected_consumer_stops_when_the_grant_is_terminated(kept: Any) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    async with kept.consumer(reader, grant["topic"], reader["group_prefix"] + "g") as consumer:
        assert (await consumer.getone()).value == b"first"
        ended = await kept.exchange.client.post(
            f"/v1/grants/{grant['grant_id']}/termination", json={"reason": "用途已完成"}, headers=kept.steward()
        )
        assert ended.status_code == 201
        seconds, came = await kept.refused(consumer)
    print(f"a connected consumer is refused {seconds:.2f} s after the grant was terminated")
    assert came == []
    assert seconds < 10
    assert await kept.on_broker(reader["user_name"]) == (False, set()), "the user goes with the last grant"


async def test_a_connected_consumer_stops_when_the_time_of_the_grant_is_over(kept: Any) -> None:
    _, grant = await kept.granted()
    _, other = await kept.granted()
    reader = await kept.reader()
    async with kept.consumer(reader, grant["topic"]) as consumer:
        assert (await consumer.getone()).value == b"first"
        async with kept.exchange.sessions.begin() as tx:
            mine = update(Grant).where(Grant.grant_id == UUID(grant["grant_id"]))
            await tx.execute(mine.values(use_until=utc_now() + timedelta(seconds=0.7)))
        await kept.refused(consumer)
    assert await kept.read_one(reader, other["topic"]) == b"first", "what is granted still goes on"


async def test_a_suspended_grant_stops_a_connected_consumer_and_a_resumed_one_goes_on(kept: Any) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    path, provider = f"/v1/grants/{grant['grant_id']}", kept.exchange.steward(kept.exchange.provider)
    remedy = (utc_now() + timedelta(days=30)).date().isoformat()
    async with kept.consumer(reader, grant["topic"], reader["group_prefix"] + "g") as consumer:
        assert (await consumer.getone()).value == b"first"
        body = {"reason": "超出用途", "remedy_until": remedy}
        suspended = await kept.exchange.client.post(f"{path}/suspension", json=body, headers=provider)
        assert suspended.status_code == 201, suspended.text
        await kept.refused(consumer)
    await kept.agreed(reader)
    assert (await kept.exchange.client.post(f"{path}/resumption", json={"reason": "已整改"}, headers=provider)).status_code == 201
    await kept.agreed(reader)
    assert await kept.read_one(reader, grant["topic"]) == b"first"


async def test_a_reader_has_the_coming_versions_topic_too_and_keeps_that_alone_when_it_is_in_force(kept: Any) -> None:
    resource, grant = await kept.granted()
    reader = await kept.reader()
    coming = resource.model_copy(update={"version": 2, "items": resource.items[:3], "published_at": utc_now()})
    announced = ResourceChangeAnnounced(
        resource_id=resource.resource_id,
        resource=coming,
        effective_at=utc_now(),
        announced_at=utc_now(),
        broken_items=("since",),
        breaks_all=False,
        grants=(),
    )
    await kept.exchange.deliver(announced)
    path = f"/v1/readers/{reader['reader_id']}"
    both = (await kept.exchange.client.get(path, headers=kept.steward())).json()["topics"]
    assert len(both) == 2
    await kept.agreed(reader)
    await kept.exchange.publish(**{name: getattr(coming, name) for name in type(coming).model_fields})
    alone = (await kept.exchange.client.get(path, headers=kept.steward())).json()["topics"]
    assert alone == [topic for topic in both if topic != grant["topic"]]
    await kept.agreed(reader)


async def test_a_reader_waits_for_a_grant_and_comes_back_with_the_next_and_the_same_password(kept: Any) -> None:
    reader = await kept.reader()
    assert (reader["state"], reader["topics"]) == ("waiting", [])
    assert await kept.on_broker(reader["user_name"]) == (False, set())
    for _ in range(2):
        _, grant = await kept.granted()
        await kept.agreed(reader)
        assert await kept.read_one(reader, grant["topic"]) == b"first"
        path = f"/v1/grants/{grant['grant_id']}/termination"
        await kept.exchange.client.post(path, json={"reason": "完"}, headers=kept.steward())
        await kept.agreed(reader)
        assert await kept.on_broker(reader["user_name"]) == (False, set())


async def test_a_new_password_replaces_the_old_one_and_a_revoked_reader_is_refused(kept: Any) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    path = f"/v1/readers/{reader['reader_id']}"
    rotated = (await kept.exchange.client.post(f"{path}/rotation", headers=kept.steward())).json()
    assert rotated["password"] != reader["password"]

    async def taken() -> bool:
        with contextlib.suppress(KafkaError):
            return await kept.read_one(rotated, grant["topic"]) == b"first"
        return False

    await kept.until(taken, "the new password is not taken")
    with pytest.raises(KafkaError):
        await kept.read_one(reader, grant["topic"])
    async with kept.consumer(rotated, grant["topic"]) as consumer:
        assert (await consumer.getone()).value == b"first"
        for _ in range(2):
            assert (await kept.exchange.client.delete(path, headers=kept.steward())).status_code == 204
        await kept.refused(consumer)
    assert (await kept.exchange.client.get(path, headers=kept.steward())).json()["state"] == "revoked"
    again = await kept.exchange.client.post(f"{path}/rotation", headers=kept.steward())
    assert (again.status_code, again.json()["type"].rsplit("/", 1)[1]) == (409, "reader-revoked")
    fresh = await kept.reader()
    assert await kept.read_one(fresh, grant["topic"]) == b"first", "the name is free again"
    said = [type(event) for event in await kept.exchange.outbox() if event.TOPIC == ReaderRegistered.TOPIC]
    assert said == [ReaderRegistered, ReaderRotated, ReaderRevoked, ReaderRegistered]
