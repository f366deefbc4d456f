"""Clients of Apache Kafka with the mesh's defaults, and topics."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import event_classes

log = structlog.get_logger(__name__)
MAX_RECORD_BYTES = 8 * 1024 * 1024
EVENT_TOPIC_CONFIG = {"max.message.bytes": str(MAX_RECORD_BYTES), "retention.ms": "-1", "cleanup.policy": "delete"}
_REQUEST_TIMEOUT_MS = 10_000
_TOPIC_POLL_SECONDS = 0.1
_STOP_SECONDS = 2.0


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
    try:
        await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
    except (TimeoutError, KafkaError, OSError) as stuck:
        log.info("kafka.producer_discarded", error=repr(stuck))
        sender = producer._sender  # its public stop() waits for what cannot be sent any more; aiokafka is pinned
        if sender is not None and sender.sender_task is not None:
            sender.sender_task.cancel()
            await asyncio.wait([sender.sender_task], timeout=_STOP_SECONDS)
        with suppress(TimeoutError, KafkaError, OSError):
            await asyncio.wait_for(producer.client.close(), _STOP_SECONDS)


async def record_id(kafka: KafkaSettings, topic: str, partition: int, offset: int) -> str | None:
    """Return the `ce_id` of the record at an offset; None when there is none, or it is no event."""
    place = TopicPartition(topic, partition)
    reader = consumer(kafka, isolation_level="read_uncommitted")
    await reader.start()
    try:
        reader.assign([place])
        reader.seek(place, offset)
        found = (await reader.getmany(place, timeout_ms=_REQUEST_TIMEOUT_MS, max_records=1)).get(place, [])
        if not found or found[0].offset != offset:
            return None
        return dict(found[0].headers).get("ce_id", b"").decode() or None
    finally:
        await asyncio.shield(reader.stop())


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
    admin = AIOKafkaAdminClient(**options(kafka))
    await admin.start()
    try:
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
    finally:
        await asyncio.shield(admin.close())


async def wait_for_topics(kafka: KafkaSettings, topics: Iterable[str]) -> None:
    """Return once every topic exists; their emitters create them when they start."""
    wanted = set(topics)
    waited = 0.0
    while True:
        try:
            admin = AIOKafkaAdminClient(**options(kafka))
            await admin.start()
            try:
                while missing := wanted - (await _described(admin, wanted)).keys():
                    if waited and waited % 10 < _TOPIC_POLL_SECONDS:
                        log.info("kafka.topics_awaited", topics=sorted(missing))
                    await asyncio.sleep(_TOPIC_POLL_SECONDS)
                    waited += _TOPIC_POLL_SECONDS
                return
            finally:
                await asyncio.shield(admin.close())
        except (KafkaError, OSError) as away:
            log.warning("kafka.away", error=str(away))
            await asyncio.sleep(_TOPIC_POLL_SECONDS * 5)


async def end_offsets(kafka: KafkaSettings, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """Return the end offset of every partition of the topics that exist."""
    admin = AIOKafkaAdminClient(**options(kafka))
    await admin.start()
    try:
        described = await _described(admin, topics)
    finally:
        await asyncio.shield(admin.close())
    places = [TopicPartition(topic, partition) for topic, partitions in described.items() for partition in partitions]
    if not places:
        return {}
    reader = AIOKafkaConsumer(**options(kafka), enable_auto_commit=False)
    await reader.start()
    try:
        reader.assign(places)
        return {(place.topic, place.partition): end for place, end in (await reader.end_offsets(places)).items()}
    finally:
        await asyncio.shield(reader.stop())


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
