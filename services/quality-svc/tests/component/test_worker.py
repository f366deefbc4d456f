"""The worker on a real Kafka: batches in, assessments out, also when a batch comes before its resource."""

import asyncio
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from dxmesh_runtime import broker
from dxmesh_runtime.settings import AuthSettings, DatabaseSettings, KafkaSettings, ObjectStoreSettings
from dxmesh_runtime.testing import incoming
from dxmesh_schemas.catalog import DataItem, DataType, ResourceSnapshot
from dxmesh_schemas.catalog_events import ResourcePublished
from dxmesh_schemas.event import Event
from dxmesh_schemas.events import topics
from dxmesh_schemas.quality import AssessmentCompleted
from quality_svc import worker
from quality_svc.settings import CheckingSettings, Settings

DEADLINE_SECONDS = 60
NAME = DataItem(code="name", name="名称", data_type=DataType.TEXT, required=True)


@pytest.fixture
def settings(quality: Any, kafka: Any) -> Settings:
    return Settings(
        database=DatabaseSettings(url=quality.url),
        kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap_servers),
        auth=AuthSettings(issuer="http://issuer.test"),
        object_store=ObjectStoreSettings(url=quality.objects.url),
        checking=CheckingSettings(folder=quality.folder),
    )


async def test_a_batch_that_comes_before_its_resource_is_assessed_once_the_resource_is_there(
    quality: Any, settings: Settings, make_resource: Callable[..., ResourceSnapshot], frame_of: Callable[..., pl.DataFrame]
) -> None:
    await broker.ensure_topics(settings.kafka, topics())
    resource = make_resource(NAME, max_quarantined_ratio=0.5)
    batches = [quality.received(resource, frame_of(resource, [{"name": "街道"}, {"name": name}])) for name in ("镇", None)]
    reader = broker.consumer(settings.kafka, AssessmentCompleted.TOPIC)
    producer = broker.producer(settings.kafka)
    await reader.start()
    await producer.start()
    working = asyncio.create_task(worker.run(settings))

    async def send(event: Event) -> None:
        sent = incoming(event)
        await producer.send_and_wait(event.TOPIC, sent.payload, event.key.encode(), headers=sent.meta.headers())

    async def assessed() -> dict[Any, AssessmentCompleted]:
        found: dict[Any, AssessmentCompleted] = {}
        while len(found) < len(batches):
            record = await reader.getone()
            event = AssessmentCompleted.decode(record.value)
            if event.resource_id == resource.resource_id:
                found[event.batch_id] = event
        return found

    try:
        for batch in batches:
            await send(batch)
        await send(batches[0])  # once more, as a relay that heals would
        await send(ResourcePublished(resource_id=resource.resource_id, resource=resource))
        found = await asyncio.wait_for(assessed(), DEADLINE_SECONDS)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await producer.stop()
        await reader.stop()
    assert list(found) == [batch.batch_id for batch in batches]
    assert [event.outcome.value for event in found.values()] == ["accept", "accept_part"]
    assert len(await quality.completed()) == len(batches)
