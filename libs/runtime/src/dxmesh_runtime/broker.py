"""Clients of Apache Kafka with the mesh's defaults, and topics."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import event_classes

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
MAX_RECORD_BYTES = 8 * 1024 * 1024
EVENT_TOPIC_CONFIG = {"max.message.bytes": str(MAX_RECORD_BYTES), "retention.ms": "-1", "cleanup.policy": "delete"}
_REQUEST_TIMEOUT_MS = 10_000
_TOPIC_POLL_SECONDS = 0.1
_POLL_MS = 200
_STOP_SECONDS = 2.0
_CLOSE_SECONDS = 5.0
_SETTLED = ("Stable", "Empty", "Dead")
_ENDS = (TimeoutError, KafkaError, OSError, asyncio.CancelledError)
"""How the closing of a client may end, in a task of its own: aiokafka awaits the tasks it has cancelled, and some of them say so."""


def options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the connection options every client shares."""
    found: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "security_protocol": kafka.security_protocol,
        "request_timeout_ms": _REQUEST_TIMEOUT_MS,
    }
    if kafka.sasl_mechanism:
        found |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password,
        }
    if kafka.security_protocol.endswith("SSL"):
        found["ssl_context"] = ssl.create_default_context()
    return found


def producer(kafka: KafkaSettings, **more: Any) -> AIOKafkaProducer:
    """Return an idempotent producer that waits for all in-sync replicas; start and stop it."""
    defaults: dict[str, Any] = {
        "acks": "all",
        "enable_idempotence": True,
        "max_request_size": MAX_RECORD_BYTES,
        "max_batch_size": 256 * 1024,
        "metadata_max_age_ms": 10_000,
    }
    return AIOKafkaProducer(**(options(kafka) | defaults | more))


def end_if_cancelled() -> None:
    """Raise CancelledError when this task was cancelled: a loop calls it each time round.

    aiokafka's close swallows the cancellation of whoever awaits it (in a shield it does not), and so does `asyncio.wait_for` before
    Python 3.12 in a race. Not for a task with a TaskGroup in it: before Python 3.13 a group that failed leaves its task counted as
    cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def discard(producer: AIOKafkaProducer) -> None:
    """Stop a producer within seconds, whatever state its broker is in; what it could not send by then it never sends.

    A producer left to itself goes on trying, and would write behind the back of whoever took its place.
    """

    async def stopped() -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await producer.stop()
        except _ENDS as stuck:
            log.info("kafka.producer_discarded", error=repr(stuck))
            sender = producer._sender  # its public stop() waits for what cannot be sent any more; aiokafka is pinned
            if sender is not None and sender.sender_task is not None:
                sender.sender_task.cancel()
                await asyncio.wait([sender.sender_task], timeout=_STOP_SECONDS)
            await _bounded(producer.client.close(), _STOP_SECONDS)

    await asyncio.shield(stopped())


async def closed(closing: Coroutine[Any, Any, None]) -> None:
    """Wait until a client has closed, but only for seconds: one whose broker went away meanwhile may never end."""
    await asyncio.shield(_bounded(closing, _CLOSE_SECONDS))


async def _bounded(closing: Coroutine[Any, Any, None], seconds: float) -> None:
    with suppress(*_ENDS):
        async with asyncio.timeout(seconds):
            await closing


class EndedWithin(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """Something inside was cancelled, by none of us."""


async def lasting(work: Awaitable[Result]) -> Result:
    """Await work that must not end in silence: a task group takes a cancelled task as ended, and goes on without it.

    Raises: EndedWithin when the work was cancelled from within, and not with the task that awaits it.
    """
    try:
        return await work
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise EndedWithin("a client's task was cancelled by the client") from cancelled


@asynccontextmanager
async def reading(kafka: KafkaSettings, *topics: str, **more: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a started consumer. Raises: KafkaError when the broker is away."""
    reader = consumer(kafka, *topics, **more)
    try:
        await reader.start()
        yield reader
    finally:
        await closed(reader.stop())


@asynccontextmanager
async def administering(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield a started client for topics and groups. Raises: KafkaError when the broker is away."""
    admin = AIOKafkaAdminClient(**options(kafka))
    try:
        await admin.start()
        yield admin
    finally:
        await closed(admin.close())


async def record_ids(kafka: KafkaSettings, places: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], str | None]:
    """Return the `ce_id` of the record at an offset of each partition; None when there is none in time, or it is no event."""
    wanted = {TopicPartition(*place): offset for place, offset in places.items()}
    found: dict[tuple[str, int], str | None] = dict.fromkeys(places)
    async with reading(kafka, isolation_level="read_uncommitted") as reader:
        reader.assign(list(wanted))
        for place, offset in wanted.items():
            reader.seek(place, offset)
        with suppress(TimeoutError):
            async with asyncio.timeout(_REQUEST_TIMEOUT_MS / 1000):
                while wanted:
                    for place, records in (await reader.getmany(*wanted, timeout_ms=_POLL_MS)).items():
                        if records[0].offset == wanted.pop(place):
                            found[place.topic, place.partition] = dict(records[0].headers).get("ce_id", b"").decode() or None
    return found


def consumer(kafka: KafkaSettings, *topics: str, group: str | None = None, **more: Any) -> AIOKafkaConsumer:
    """Return a consumer that reads committed records from the beginning and commits by hand; start and stop it."""
    defaults: dict[str, Any] = {
        "group_id": group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "session_timeout_ms": 10_000,
        "heartbeat_interval_ms": 2_000,
        "max_partition_fetch_bytes": MAX_RECORD_BYTES,
        "metadata_max_age_ms": 5_000,
        "retry_backoff_ms": 50,
    }
    return AIOKafkaConsumer(*topics, **(options(kafka) | defaults | more))


def topics_emitted_by(source: str) -> list[str]:
    """Return the topics of the events an emitter sends; it alone creates them, so a broker that lost its disk is noticed by it."""
    return sorted({event.TOPIC for event in event_classes() if source == event.SOURCE})


async def ensure_topics(kafka: KafkaSettings, topics: Iterable[str] | Mapping[str, Mapping[str, str]]) -> None:
    """Create what is missing; a mapping gives each topic's configuration, names alone get that of event topics.

    Raises KafkaError when the broker refuses.
    """
    configs = topics if isinstance(topics, Mapping) else dict.fromkeys(topics, EVENT_TOPIC_CONFIG)
    async with administering(kafka) as admin:
        missing = configs.keys() - (await _described(admin, configs)).keys()
        if not missing:
            return
        wanted = [NewTopic(name, kafka.partitions, kafka.replication_factor, topic_configs=dict(configs[name])) for name in sorted(missing)]
        answer = await admin.create_topics(wanted)
        for name, code, *message in answer.topic_errors:
            error = for_code(code)
            if code != 0 and error is not TopicAlreadyExistsError:
                raise error(f"topic {name} cannot be created: {message[0] if message else error.__name__}")
        log.info("kafka.topics_created", topics=sorted(missing))


async def wait_for_topics(kafka: KafkaSettings, topics: Iterable[str]) -> None:
    """Return once every topic exists; their emitters create them when they start."""
    wanted = set(topics)
    waited = 0.0
    while True:
        try:
            async with administering(kafka) as admin:
                while missing := wanted - (await _described(admin, wanted)).keys():
                    if waited and waited % 10 < _TOPIC_POLL_SECONDS:
                        log.info("kafka.topics_awaited", topics=sorted(missing))
                    await asyncio.sleep(_TOPIC_POLL_SECONDS)
                    waited += _TOPIC_POLL_SECONDS
                return
        except (KafkaError, OSError) as away:
            log.warning("kafka.away", error=str(away))
            await asyncio.sleep(_TOPIC_POLL_SECONDS * 5)


async def end_offsets(
    kafka: KafkaSettings, topics: Iterable[str], *, isolation_level: str = "read_uncommitted"
) -> dict[tuple[str, int], int]:
    """Return the end offset of every partition of the topics that exist; `read_committed` leaves out what a transaction still holds."""
    async with administering(kafka) as admin:
        described = await _described(admin, topics)
    places = [TopicPartition(topic, partition) for topic, partitions in described.items() for partition in partitions]
    if not places:
        return {}
    async with reading(kafka, isolation_level=isolation_level) as reader:
        reader.assign(places)
        return {(place.topic, place.partition): end for place, end in (await reader.end_offsets(places)).items()}


async def unassigned(kafka: KafkaSettings, group: str, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """Return those of the partitions that no member of a group reads, with the offsets it has committed; none while it shares them out.

    Raises: KafkaError when the broker refuses.
    """
    if not places:
        return {}
    async with administering(kafka) as admin:
        [answer] = await admin.describe_consumer_groups([group])
        [(code, _, state, _, _, members, *_)] = answer.groups
        if code != 0:
            raise for_code(code)(f"group {group} cannot be described")
        if state not in _SETTLED:
            return {}
        read = {place for *_, given in members for place in ConsumerProtocolMemberAssignment.decode(given).partitions()}
        committed = await admin.list_consumer_group_offsets(group)
        return {place: max(committed[place].offset, 0) if place in committed else 0 for place in set(places) - read}


async def _described(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, list[int]]:
    """Return the partitions of those topics that exist; the others are not made by asking, and thousands beside them are not told.

    Raises: KafkaError when the broker refuses.
    """
    # the public ways ask for every topic there is, or let a broker so configured make what is asked for; aiokafka is pinned
    answer = await admin._send_request(MetadataRequest(sorted(set(topics)), allow_auto_topic_creation=False))
    found = {}
    for topic in answer.to_object()["topics"]:
        error = for_code(topic["error_code"])
        if error is UnknownTopicOrPartitionError:
            continue
        if topic["error_code"] != 0:
            raise error(f"topic {topic['topic']} cannot be described: {error.__name__}")
        found[topic["topic"]] = [partition["partition"] for partition in topic["partitions"]]
    return found
