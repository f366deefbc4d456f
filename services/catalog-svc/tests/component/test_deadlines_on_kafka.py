"""The worker on real Kafka: accepted batches are heard of, and deadlines are told to the mesh."""

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from catalog_svc import worker
from catalog_svc.mount.domain import MountState
from catalog_svc.resource.store import Resource
from dxmesh_clocks.working_days import add, day_of
from dxmesh_runtime import broker
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_runtime.testing import incoming
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_deadlines import DeadlineApproaching
from dxmesh_schemas.catalog_events import ResourceStale
from dxmesh_schemas.events import topics
from dxmesh_schemas.exchange import BatchAccepted, BatchKind, ObjectRef

_PATIENCE_SECONDS = 90


async def test_the_worker_hears_of_batches_and_tells_of_deadlines(node: Any, kafka: Any) -> None:
    settings = node.settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)})
    await broker.ensure_topics(settings.kafka, topics())
    organization, system = await node.provider()
    made = await node.published(organization, system)
    await node.published(organization, system, name="陈旧的")
    async with node.sessions.begin() as tx:
        await tx.execute(update(Resource).where(Resource.name == "陈旧的").values(published_at=utc_now() - timedelta(days=100)))
    provider = OrganizationRef(**{name: organization[name] for name in ("organization_id", "uscc", "name", "division_code")})
    event = BatchAccepted(
        resource_id=made["resource_id"],
        batch_id="019a0000-0000-7000-8000-000000000077",
        resource_version=1,
        provider=provider,
        kind=BatchKind.APPEND,
        sequence=1,
        accepted_at=utc_now(),
        received_count=1,
        accepted_count=1,
        quarantined_count=0,
        rows=ObjectRef(key="k", sha256="0", byte_count=1, row_count=1),
    )
    sent = incoming(event)
    producer = broker.producer(settings.kafka)
    reader = broker.consumer(settings.kafka, DeadlineApproaching.TOPIC, auto_offset_reset="earliest")
    await producer.start()
    await reader.start()
    work = asyncio.create_task(worker.run(settings))
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await producer.send_and_wait(event.TOPIC, sent.payload, event.key.encode(), headers=sent.meta.headers())
            path = f"/v1/resources/{made['resource_id']}/mount"
            while (await node.client.get(path, headers=node.authority)).json()["state"] != MountState.SUPPLIED:
                assert not work.done(), work.exception()
                await asyncio.sleep(0.05)
            body = {
                "resource_id": made["resource_id"],
                "change": "duties",
                "reason": "职责调整",
                "changed_on": str(add(day_of(utc_now()), -8)),
            }
            duty = await node.made("/v1/duties", body, node.authority)
            record = await reader.getone()
            while not any(isinstance(event, ResourceStale) for event in await node.events()):
                assert not work.done(), work.exception()
                await asyncio.sleep(0.05)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await producer.stop()
        await reader.stop()
    told = DeadlineApproaching.decode(record.value)
    assert (str(told.clock_id), record.key.decode()) == (duty["duty_id"], duty["duty_id"])
    assert (told.days_left, told.organization.uscc, told.resource_name) == (2, organization["uscc"], made["name"])
    assert dict(record.headers)["ce_type"] == DeadlineApproaching.TYPE.encode()
