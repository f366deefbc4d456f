"""Following a topic: each record as a line of JSON."""

import asyncio
import json
import logging
import select
import sys
import time
from decimal import Decimal

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from dxmesh_client.cli.output import lines
from dxmesh_client.config import Profile
from dxmesh_client.errors import ClientError, Unreachable

_ADMISSION_SECONDS = 5.0  # a reader that was registered a moment ago is let in within this time
_PAUSE_SECONDS = 0.2
_LOOK_SECONDS = 0.5  # between two looks whether anybody still reads, while nothing comes


async def follow(profile: Profile, topic: str, count: int | None, *, from_start: bool, idle_seconds: float | None) -> None:
    """Print records as lines of JSON until `count` came or nothing came for `idle_seconds`. Raises: Unreachable, ClientError."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it has to say of a broker is said once, below
    try:
        await _follow(profile, topic, count, from_start, idle_seconds)
    except TopicAuthorizationFailedError as refused:
        raise ClientError(f"Kafka does not let {profile.kafka_username} read {topic}: see `dxmesh grant show` for its state") from refused
    except KafkaError as away:
        asked = "" if profile.kafka_username else "; if it asks for a user, make one: `dxmesh reader add NAME --keep`"
        raise Unreachable(f"Kafka at {profile.kafka} does not answer as it should: {away}{asked}; see `dxmesh doctor`") from away


async def _follow(profile: Profile, topic: str, count: int | None, from_start: bool, idle_seconds: float | None) -> None:
    consumer = await _started(profile, topic, from_start=from_start)
    try:
        seen = 0
        while count is None or seen < count:
            record = await _next(consumer, idle_seconds)
            if record is None:
                return
            headers = {name: value.decode() for name, value in record.headers}
            row = {
                "key": record.key.decode() if record.key else None,
                "value": json.loads(record.value, parse_float=Decimal) if record.value else None,
                "batch": headers.get("batch"),
                "row": int(headers["row"]) if "row" in headers else None,
            }
            lines([row])
            seen += 1
    finally:
        await consumer.stop()


async def _next(consumer: AIOKafkaConsumer, idle_seconds: float | None) -> ConsumerRecord | None:
    """Return the next record; None when nothing came for `idle_seconds`. Raises: BrokenPipeError once nobody reads what is printed."""
    coming = asyncio.ensure_future(consumer.getone())
    deadline = None if idle_seconds is None else time.monotonic() + idle_seconds
    try:
        while not coming.done():
            left = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return None
            await asyncio.wait({coming}, timeout=left)
            if _is_unread():
                raise BrokenPipeError
        return await coming
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


def _is_unread() -> bool:
    """Say whether standard output is a pipe whose reader has gone (poll(2): POLLERR is told unasked)."""
    try:
        looked = select.poll()
        looked.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in looked.poll(0))
    except (AttributeError, OSError, ValueError):  # no such call on this system, or no file to ask about
        return False


async def _started(profile: Profile, topic: str, *, from_start: bool) -> AIOKafkaConsumer:
    """Return a consumer that is connected; where it needs a user, one that was made a moment ago is waited for."""
    deadline = time.monotonic() + (min(_ADMISSION_SECONDS, profile.patience_seconds) if profile.kafka_username else 0.0)
    while True:
        consumer = AIOKafkaConsumer(
            topic,
            **profile.kafka_options(),
            isolation_level="read_committed",
            auto_offset_reset="earliest" if from_start else "latest",
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )
        try:
            await consumer.start()
        except KafkaError:
            await consumer.stop()
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return consumer
