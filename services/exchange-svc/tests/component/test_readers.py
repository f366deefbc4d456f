"""Readers on a real broker: Kafka itself lets them read what is granted, as long as it is granted, and nothing else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from sqlalchemy import update

from dxmesh_local.kafka import SECURITY_PROTOCOL, SUPER_USER, SUPER_USER_MECHANISM, Kafka
from dxmesh_runtime import broker, signing
from dxmesh_runtime.db import Database, connect, utc_now
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings
from dxmesh_schemas.catalog import SharingType
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced
from dxmesh_schemas.exchange_readers import ReaderRegistered, ReaderRevoked, ReaderRotated
from exchange_svc.grant.store import Grant
from exchange_svc.reader import access, domain
from exchange_svc.reader.settings import ReaderSettings
from exchange_svc.reader.store import Reader
from exchange_svc.reader.worker import drift, run_readers
from exchange_svc.secrets import derived

SECONDS = 60


@pytest.fixture(scope="session")
def kafka_settings(secured_kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=secured_kafka.bootstrap_servers,
        security_protocol=SECURITY_PROTOCOL,
        sasl_mechanism=SUPER_USER_MECHANISM,
        sasl_username=SUPER_USER,
        sasl_password=secured_kafka.password,
    )


async def until(holds: Callable[[], Awaitable[Any]], otherwise: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := await holds()):
        assert time.monotonic() < deadline, otherwise
        await asyncio.sleep(0.02)
    return found


@dataclass
class Kept:
    """The service with its keeper at work, and the broker."""

    exchange: Any
    kafka: KafkaSettings
    database: Database
    key: bytes
    keeper: asyncio.Task[None]

    async def reader(self, by: Any = None, name: str = "clinics") -> dict[str, Any]:
        """Register a reader and return what was told, once Kafka knows it or it has to wait."""
        answer = await self.exchange.client.post("/v1/readers", json={"name": name}, headers=self.steward(by))
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return await self.agreed(answer.json())

    def steward(self, by: Any = None) -> dict[str, str]:
        headers: dict[str, str] = self.exchange.steward(by or self.exchange.requester)
        return headers

    async def agreed(self, told: dict[str, Any]) -> dict[str, Any]:
        """Wait until the broker has what the service says of this reader."""

        async def same() -> bool:
            shown = (await self.exchange.client.get(f"/v1/readers/{told['reader_id']}", headers=self.exchange.authority)).json()
            users, entries = await self.on_broker(shown["user_name"])
            topics = {entry.name for entry in entries if entry.resource_type == domain.ResourceType.TOPIC}
            return (users, topics) == (shown["state"] == "active", set(shown["topics"]))

        await until(same, "the broker did not follow")
        return told

    async def on_broker(self, user: str) -> tuple[bool, set[domain.Entry]]:
        async with access.connected(self.kafka) as there:
            entries = {entry for entry in await there.entries() if entry.principal == f"User:{user}"}
            return user in await there.users(), entries

    async def granted(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Grant a new resource and put a row on its topic, as the delivery worker does."""
        resource = await self.exchange.publish()
        grant = await self.exchange.granted(resource, **options)
        await self.write(grant["topic"], b"first")
        return resource, grant

    async def write(self, topic: str, value: bytes) -> None:
        await broker.ensure_topics(self.kafka.model_copy(update={"partitions": 1}), {topic: {}})
        async with broker.producer(self.kafka) as producer:
            await producer.send_and_wait(topic, value)

    @contextlib.asynccontextmanager
    async def consumer(self, reader: dict[str, Any], topic: str, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
        """An ordinary consumer with what the reader was told."""
        found = AIOKafkaConsumer(
            topic, **login(reader), group_id=group, isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False
        )
        try:
            await found.start()
            yield found
        finally:
            await found.stop()

    async def read_one(self, reader: dict[str, Any], topic: str, group: str | None = None) -> bytes:
        async with asyncio.timeout(SECONDS), self.consumer(reader, topic, group) as found:
            value: bytes = (await found.getone()).value
            return value


def login(reader: dict[str, Any], **changes: Any) -> dict[str, Any]:
    told = {
        "bootstrap_servers": reader["bootstrap_servers"],
        "security_protocol": reader["security_protocol"],
        "sasl_mechanism": reader["sasl_mechanism"],
        "sasl_plain_username": reader["user_name"],
        "sasl_plain_password": reader["password"],
        "retry_backoff_ms": 20,
    }
    return told | changes


@pytest.fixture
async def kept(exchange: Any, kafka_settings: KafkaSettings, tmp_path: Any) -> AsyncIterator[Kept]:
    database = connect(DatabaseSettings(url=exchange.url))
    key = derived(signing.load_key(tmp_path / "node.pem"), "readers")
    keeper = keeping(database, kafka_settings, key)
    yield Kept(exchange, kafka_settings, database, key, keeper)
    await ended(keeper)
    await database.close()


def keeping(database: Database, kafka: KafkaSettings, key: bytes) -> asyncio.Task[None]:
    return asyncio.create_task(run_readers(database, kafka, key, ReaderSettings(check_seconds=0.5)))


async def ended(keeper: asyncio.Task[None]) -> None:
    keeper.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeper


async def refused(consumer: AIOKafkaConsumer) -> tuple[float, list[bytes]]:
    """Fetch until Kafka refuses; return after how many seconds, and what still came."""
    begun, came = time.monotonic(), []
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                for records in (await consumer.getmany(timeout_ms=50)).values():
                    came += [record.value for record in records]
            except (TopicAuthorizationFailedError, GroupAuthorizationFailedError):
                return time.monotonic() - begun, came


async def test_a_reader_reads_what_is_granted_in_a_group_of_its_own(kept: Kept) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    assert (reader["state"], reader["topics"], reader["sasl_mechanism"]) == ("active", [grant["topic"]], "SCRAM-SHA-512")
    assert reader["user_name"] == f"org.{kept.exchange.requester.organization_id}.clinics"
    assert await kept.read_one(reader, grant["topic"], reader["group_prefix"] + "g") == b"first"


async def test_departments_exchange_one_to_one_one_to_many_and_many_to_many(kept: Kept) -> None:
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


async def test_kafka_refuses_a_reader_another_organizations_topic_and_groups_and_every_writing(kept: Kept) -> None:
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
        writer = AIOKafkaProducer(**login(reader))
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


async def test_nobody_connects_without_a_user_of_the_broker(kept: Kept) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    for changes in (
        {"security_protocol": "PLAINTEXT"},
        {"sasl_plain_password": "guessed"},
        {"sasl_plain_username": "org.nobody"},
        {"sasl_mechanism": "PLAIN"},
        {"sasl_mechanism": "PLAIN", "sasl_plain_username": SUPER_USER},
    ):
        consumer = AIOKafkaConsumer(grant["topic"], **login(reader, **changes))
        with pytest.raises(KafkaError):
            await consumer.start()
        await consumer.stop()


async def test_a_connected_consumer_stops_when_the_grant_is_terminated(kept: Kept) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    async with kept.consumer(reader, grant["topic"], reader["group_prefix"] + "g") as consumer:
        assert (await consumer.getone()).value == b"first"
        ended = await kept.exchange.client.post(
            f"/v1/grants/{grant['grant_id']}/termination", json={"reason": "用途已完成"}, headers=kept.steward()
        )
        assert ended.status_code == 201
        seconds, came = await refused(consumer)
    print(f"a connected consumer is refused {seconds:.2f} s after the grant was terminated")
    assert came == []
    assert seconds < 10
    assert await kept.on_broker(reader["user_name"]) == (False, set()), "the user goes with the last grant"


async def test_a_connected_consumer_stops_when_the_time_of_the_grant_is_over(kept: Kept) -> None:
    _, grant = await kept.granted()
    _, other = await kept.granted()
    reader = await kept.reader()
    async with kept.consumer(reader, grant["topic"]) as consumer:
        assert (await consumer.getone()).value == b"first"
        async with kept.exchange.sessions.begin() as tx:
            mine = update(Grant).where(Grant.grant_id == UUID(grant["grant_id"]))
            await tx.execute(mine.values(use_until=utc_now() + timedelta(seconds=0.7)))
        await refused(consumer)
    assert await kept.read_one(reader, other["topic"]) == b"first", "what is granted still goes on"


async def test_a_suspended_grant_stops_a_connected_consumer_and_a_resumed_one_goes_on(kept: Kept) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    path, provider = f"/v1/grants/{grant['grant_id']}", kept.exchange.steward(kept.exchange.provider)
    remedy = (utc_now() + timedelta(days=30)).date().isoformat()
    async with kept.consumer(reader, grant["topic"], reader["group_prefix"] + "g") as consumer:
        assert (await consumer.getone()).value == b"first"
        body = {"reason": "超出用途", "remedy_until": remedy}
        suspended = await kept.exchange.client.post(f"{path}/suspension", json=body, headers=provider)
        assert suspended.status_code == 201, suspended.text
        await refused(consumer)
    await kept.agreed(reader)
    assert (await kept.exchange.client.post(f"{path}/resumption", json={"reason": "已整改"}, headers=provider)).status_code == 201
    await kept.agreed(reader)
    assert await kept.read_one(reader, grant["topic"]) == b"first"


async def test_a_grant_of_another_mode_or_for_another_system_lets_no_reader_in(kept: Kept) -> None:
    system_id = str(uuid4())
    _, mine = await kept.granted(terms={"systems": [system_id]})
    _, _ = await kept.granted(terms={"modes": ["pull"]})
    named = await kept.exchange.client.post("/v1/readers", json={"system_id": system_id}, headers=kept.steward())
    other = await kept.reader()
    assert (other["state"], other["topics"]) == ("waiting", [])
    assert (named.json()["state"], named.json()["topics"]) == ("active", [mine["topic"]])
    await kept.agreed(named.json())
    assert await kept.read_one(named.json(), mine["topic"]) == b"first"


async def test_a_reader_has_the_coming_versions_topic_too_and_keeps_that_alone_when_it_is_in_force(kept: Kept) -> None:
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


async def test_a_reader_waits_for_a_grant_and_comes_back_with_the_next_and_the_same_password(kept: Kept) -> None:
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


async def test_a_new_password_replaces_the_old_one_and_a_revoked_reader_is_refused(kept: Kept) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    path = f"/v1/readers/{reader['reader_id']}"
    rotated = (await kept.exchange.client.post(f"{path}/rotation", headers=kept.steward())).json()
    assert rotated["password"] != reader["password"]

    async def taken() -> bool:
        with contextlib.suppress(KafkaError):
            return await kept.read_one(rotated, grant["topic"]) == b"first"
        return False

    await until(taken, "the new password is not taken")
    with pytest.raises(KafkaError):
        await kept.read_one(reader, grant["topic"])
    async with kept.consumer(rotated, grant["topic"]) as consumer:
        assert (await consumer.getone()).value == b"first"
        for _ in range(2):
            assert (await kept.exchange.client.delete(path, headers=kept.steward())).status_code == 204
        await refused(consumer)
    assert (await kept.exchange.client.get(path, headers=kept.steward())).json()["state"] == "revoked"
    again = await kept.exchange.client.post(f"{path}/rotation", headers=kept.steward())
    assert (again.status_code, again.json()["type"].rsplit("/", 1)[1]) == (409, "reader-revoked")
    fresh = await kept.reader()
    assert await kept.read_one(fresh, grant["topic"]) == b"first", "the name is free again"
    said = [type(event) for event in await kept.exchange.outbox() if event.TOPIC == ReaderRegistered.TOPIC]
    assert said == [ReaderRegistered, ReaderRotated, ReaderRevoked, ReaderRegistered]


async def test_what_somebody_changed_on_the_broker_is_put_right_and_counted(kept: Kept) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    right = await kept.on_broker(reader["user_name"])
    more = domain.Entry(2, "dxmesh.exchange.grant", 3, f"User:{reader['user_name']}", "*", 3, 3)
    theirs = domain.Entry(2, "dxmesh.exchange.grant", 3, f"User:{uuid4()}", "*", 3, 3)
    async with access.connected(kept.kafka) as there:
        await there.forbid(sorted(right[1]))
        await there.remove([reader["user_name"]])
        await there.allow([more, theirs])

    async def mended() -> bool:
        return await kept.on_broker(reader["user_name"]) == right

    await until(mended, "the broker was not put right")
    assert await kept.read_one(reader, grant["topic"]) == b"first", "the password is the same"
    async with access.connected(kept.kafka) as there:
        assert theirs in await there.entries(), "what is not a reader's is left alone"
        await there.forbid([theirs])


async def test_the_same_passwords_work_on_a_broker_that_lost_its_disk(kept: Kept, secured_kafka: Kafka) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    await asyncio.to_thread(secured_kafka.empty)
    await kept.agreed(reader)
    await kept.write(grant["topic"], b"again")
    assert await kept.read_one(reader, grant["topic"]) == b"again"


async def test_of_two_keepers_one_works_and_the_other_takes_over(kept: Kept) -> None:
    _, grant = await kept.granted()
    first = await kept.reader()
    other = keeping(kept.database, kept.kafka, kept.key)
    try:
        await ended(kept.keeper)
        second = await kept.reader(name="second")
        assert {await kept.read_one(reader, grant["topic"]) for reader in (first, second)} == {b"first"}
    finally:
        await ended(other)


async def test_a_reader_sealed_by_another_key_is_told_as_drift_until_it_has_a_new_password(kept: Kept) -> None:
    await ended(kept.keeper)
    _, grant = await kept.granted()
    told = (await kept.exchange.client.post("/v1/readers", json={"name": "clinics"}, headers=kept.steward())).json()
    other = keeping(kept.database, kept.kafka, bytes(32))
    try:

        async def drifted() -> bool:
            return bool(drift._value.get() == 1)

        await until(drifted, "the drift is not told")
        assert not (await kept.on_broker(told["user_name"]))[0]
    finally:
        await ended(other)
    right = keeping(kept.database, kept.kafka, kept.key)
    try:
        await kept.agreed(told)
        assert await kept.read_one(told, grant["topic"]) == b"first"

        async def settled() -> bool:
            return bool(drift._value.get() == 0)

        await until(settled, "the drift is not told as over")
    finally:
        await ended(right)


async def test_no_password_is_kept_that_anybody_could_use(kept: Kept) -> None:
    reader = await kept.reader()
    async with kept.exchange.sessions() as tx:
        row = await tx.get_one(Reader, UUID(reader["reader_id"]))
        text = str((await tx.connection()) and {name: getattr(row, name) for name in Reader.__table__.columns.keys()})  # noqa: SIM118
    assert reader["password"] not in text
    assert len(row.sealed) > 64
    listed = await kept.exchange.client.get("/v1/readers", headers=kept.steward())
    assert [one["reader_id"] for one in listed.json()["items"]] == [reader["reader_id"]]
    assert "password" not in listed.text
