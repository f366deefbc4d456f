"""The worker on a real broker: events come in, a dataset is made, and what was made is told."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from dxmesh_runtime import broker
from dxmesh_runtime.db import uuid7
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.catalog_events import ResourcePublished
from dxmesh_schemas.event import Event, Meta
from dxmesh_schemas.events import topics
from dxmesh_schemas.open_data import DatasetPublished
from open_data_svc.worker import run


async def _send(kafka: KafkaSettings, *events: Event) -> None:
    producer = broker.producer(kafka)
    await producer.start()
    try:
        for event in events:
            meta = Meta(uuid7(), event.TYPE, event.SOURCE, datetime.now(UTC))
            await producer.send_and_wait(event.TOPIC, event.encode(), event.key.encode(), headers=meta.headers())
    finally:
        await producer.stop()


async def test_the_worker_opens_a_dataset_and_says_so_on_its_topic(open_data: Any, kafka: Any) -> None:
    settings = open_data.settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)})
    await broker.ensure_topics(settings.kafka, topics())
    worker = asyncio.create_task(run(settings))
    reader = broker.consumer(settings.kafka, DatasetPublished.TOPIC, auto_offset_reset="earliest")
    await reader.start()
    try:
        resource = open_data.resource()
        table = open_data.write(resource, open_data.streets(12))
        await _send(settings.kafka, table, ResourcePublished(resource_id=resource.resource_id, resource=resource))
        async with asyncio.timeout(60):
            async for record in reader:
                meta = Meta.from_headers(record.headers)
                event = DatasetPublished.decode(record.value)
                if event.resource_id == resource.resource_id:
                    break
        assert meta.event_type == DatasetPublished.TYPE
        assert meta.source == "/open-data-svc"
        assert record.key == event.key.encode()
        assert (event.version, event.row_count) == (1, 12)
    finally:
        await reader.stop()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
