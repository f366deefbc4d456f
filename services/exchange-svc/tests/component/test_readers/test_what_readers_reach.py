"""What Kafka lets a reader read, and what it refuses to everybody else."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from dxmesh_local.kafka import SUPER_USER
from dxmesh_schemas.catalog import SharingType
from exchange_svc.reader import access, domain

SECONDS = 60


async def test_a_reader_reads_what_is_granted_in_a_group_of_its_own(kept: Any) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    assert (reader["state"], reader["topics"], reader["sasl_mechanism"]) == ("active", [grant["topic"]], "SCRAM-SHA-512")
    assert reader["user_name"] == f"org.{kept.exchange.requester.organization_id}.clinics"
    assert await kept.read_one(reader, grant["topic"], reader["group_prefix"] + "g") == b"first"


async def test_departments_exchange_one_to_one_one_to_many_and_many_to_many(kept: Any) -> None:
    """Each of three departments reads what it is granted of the others, in a group and at a pace of its own."""
    exchange = kept.exchange
    a, b, c = exchange.provider, exchange.requester, exchange.stranger
    reader = {one.name: await kept.reader(one) for one in (a, b, c)}

    async def offer(owner: Any, *others: Any, **changes: Any) -> list[str]:
        """Publish a resource of one, have it granted to others, write two rows; return the topic of each."""
        resource = await exchange.publish(provider=owner, **changes)
        topics = []
        for one in others:
            asked = (await exchange.ask(resource, by=one)).json()
            if asked["state"] == "under_review":
                body = {"outcome": "granted", "approved_by": "局长"}
                path = f"/v1/requests/{asked['request_id']}/decision"
                asked = (await exchange.client.post(path, json=body, headers=exchange.steward(owner))).json()
            grant = (await exchange.client.get(f"/v1/grants/{asked['grant_id']}", headers=exchange.steward(one))).json()
            topics.append(grant["topic"])
        for topic in sorted(set(topics)):
            await kept.write(topic, b"first")
            await kept.write(topic, b"second")
        return topics

    async def next_of(one: Any, topic: str) -> bytes:
        told = reader[one.name]
        await kept.agreed(told)
        async with asyncio.timeout(SECONDS), kept.consumer(told, topic, told["group_prefix"] + "g") as consumer:
            record = await consumer.getone()
            await consumer.commit({TopicPartition(topic, record.partition): record.offset + 1})
            value: bytes = record.value
            return value

    conditional = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "按需", "standing_consent": None}
    [one_to_one] = await offer(a, b, **conditional)
    assert [await next_of(b, one_to_one), await next_of(b, one_to_one)] == [b"first", b"second"]

    shared, same = await offer(a, b, c)
    assert shared == same, "one topic serves both"
    assert [await next_of(b, shared), await next_of(b, shared), await next_of(c, shared)] == [b"first", b"second", b"first"]
    with pytest.raises(TopicAuthorizationFailedError):
        await kept.read_one(reader[c.name], one_to_one)

    for owner, others in ((a, (b, c)), (b, (a, c)), (c, (a, b))):
        for one, topic in zip(others, await offer(owner, *others), strict=True):
            assert await next_of(one, topic) == b"first"


async def test_kafka_refuses_a_reader_another_organizations_topic_and_groups_and_every_writing(kept: Any) -> None:
    _, grant = await kept.granted()
    _, other = await kept.granted(by=kept.exchange.stranger)
    reader, stranger = await kept.reader(), await kept.reader(kept.exchange.stranger)
    assert await kept.read_one(stranger, other["topic"]) == b"first"
    with pytest.raises(TopicAuthorizationFailedError):
        await kept.read_one(stranger, grant["topic"])
    with pytest.raises(GroupAuthorizationFailedError):
        await kept.read_one(stranger, other["topic"], reader["group_prefix"] + "g")
    with pytest.raises(GroupAuthorizationFailedError):
        await kept.read_one(reader, grant["topic"], "a-group-of-nobody")
    for topic in (grant["topic"], "dxmesh.exchange.grant"):
        writer = AIOKafkaProducer(**kept.login(reader))
        await writer.start()
        with pytest.raises(TopicAuthorizationFailedError):
            await writer.send_and_wait(topic, b"forged")
        await writer.stop()
    async with access.connected(kept.kafka) as there:
        before = await there.entries()
    forged = kept.kafka.model_copy(
        update={"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": reader["user_name"], "sasl_password": reader["password"]}
    )
    async with access.connected(forged) as mine:
        with pytest.raises(KafkaError, match=r"(?i)authoriz"):
            await mine.allow([domain.Entry(2, other["topic"], 3, f"User:{reader['user_name']}", "*", 3, 3)])
        with pytest.raises(KafkaError, match=r"(?i)authoriz"):
            await mine.remove([stranger["user_name"]])
    async with access.connected(kept.kafka) as there:
        assert await there.entries() == before


async def test_nobody_connects_without_a_user_of_the_broker(kept: Any) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    for changes in (
        {"security_protocol": "PLAINTEXT"},
        {"sasl_plain_password": "guessed"},
        {"sasl_plain_username": "org.nobody"},
        {"sasl_mechanism": "PLAIN"},
        {"sasl_mechanism": "PLAIN", "sasl_plain_username": SUPER_USER},
    ):
        consumer = AIOKafkaConsumer(grant["topic"], **kept.login(reader, **changes))
        with pytest.raises(KafkaError):
            await consumer.start()
        await consumer.stop()


async def test_a_grant_of_another_mode_or_for_another_system_lets_no_reader_in(kept: Any) -> None:
    system_id = str(uuid4())
    _, mine = await kept.granted(terms={"systems": [system_id]})
    _, _ = await kept.granted(terms={"modes": ["pull"]})
    named = await kept.exchange.client.post("/v1/readers", json={"system_id": system_id}, headers=kept.steward())
    other = await kept.reader()
    assert (other["state"], other["topics"]) == ("waiting", [])
    assert (named.json()["state"], named.json()["topics"]) == ("active", [mine["topic"]])
    await kept.agreed(named.json())
    assert await kept.read_one(named.json(), mine["topic"]) == b"first"
