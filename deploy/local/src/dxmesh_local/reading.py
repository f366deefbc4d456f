"""A Kafka consumer that knows nothing of us: how the demo reads what was granted."""

import asyncio
import logging
import time
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from dxmesh_client import Client, Profile
from dxmesh_local.story import WAIT_SECONDS, DemoFailed, Story

_READER = "demo"
_KEPT = "requester.json"


def as_reader(requester: Client, story: Story) -> Profile:
    """Return the requester's profile with a Kafka user: registered, or the one of an earlier run with a new password."""
    url = f"{requester.profile.exchange}/v1/readers"
    found = next((item for item in requester.page(url).items if item["name"] == _READER and item["state"] != "revoked"), None)
    made = f"{url}/{found['reader_id']}/rotation" if found else url
    told = requester.call("POST", made, json=None if found else {"name": _READER}).json()
    story.say(f"   Kafka lets {told['user_name']} in: it may read this and whatever else its department is granted, and nothing more")
    profile = requester.profile.as_reader(told)
    (story.folder / _KEPT).write_text(profile.model_dump_json(indent=1))
    return profile


def reader_of(story: Story) -> Profile:
    """Return the profile that `as_reader` kept: what is granted later is read by the same user."""
    return Profile.model_validate_json((story.folder / _KEPT).read_bytes())


async def read_topic(profile: Profile, topic: str, batches: Collection[str], expected: int) -> list[ConsumerRecord]:
    """Read a topic with a plain Kafka client until the rows of these batches are there, and then to its end."""
    consumer = await _let_in(profile, topic)
    try:
        seen: list[ConsumerRecord] = []
        async with asyncio.timeout(WAIT_SECONDS):
            while len(seen) < expected or not await _at_end(consumer):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    seen += [record for record in records if dict(record.headers)["batch"].decode() in batches]
        return seen
    except TimeoutError:
        raise DemoFailed(f"{len(seen)} of {expected} rows came within {WAIT_SECONDS:.0f} s") from None
    finally:
        await consumer.stop()


async def _let_in(profile: Profile, topic: str) -> AIOKafkaConsumer:
    """Return a plain Kafka client that is connected; the broker knows a new user a moment after it was registered."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        consumer = AIOKafkaConsumer(
            topic, **profile.kafka_options(), isolation_level="read_committed", auto_offset_reset="earliest", metadata_max_age_ms=1000
        )
        try:
            await consumer.start()
        except KafkaError as refused:
            await consumer.stop()
            if time.monotonic() > deadline:
                raise DemoFailed(f"Kafka does not let {profile.kafka_username} in: {refused}") from None
            await asyncio.sleep(0.1)
        else:
            return consumer


async def _at_end(consumer: AIOKafkaConsumer) -> bool:
    places: list[TopicPartition] = list(consumer.assignment())
    ends = await consumer.end_offsets(places)
    return all([await consumer.position(place) >= ends[place] for place in places])
