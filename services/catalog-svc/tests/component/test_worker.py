"""The worker on real Kafka: batches and grants are heard of, and deadlines are told to the mesh."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import update

from catalog_svc import worker
from catalog_svc.grant import store as grants
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
from dxmesh_schemas.event import Event
from dxmesh_schemas.events import topics
from dxmesh_schemas.exchange import BatchAccepted, BatchKind, GrantActivated, GrantTerminated, ObjectRef, ViewSnapshot

_PATIENCE_SECONDS = 90


@dataclass(frozen=True)
class Mesh:
    """A worker that runs, and what the rest of the mesh does: it sends events."""

    kafka: KafkaSettings
    producer: Any
    work: asyncio.Task[None]

    async def send(self, event: Event) -> None:
        sent = incoming(event)
        await self.producer.send_and_wait(event.TOPIC, sent.payload, event.key.encode(), headers=sent.meta.headers())

    async def a_moment(self) -> None:
        assert not self.work.done(), self.work.exception()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def working(node: Any, kafka: Any) -> AsyncIterator[Mesh]:
    """Run the node's worker, for so long as a test may take."""
    settings = node.settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)})
    await broker.ensure_topics(settings.kafka, topics())
    producer = broker.producer(settings.kafka)
    await producer.start()
    work = asyncio.create_task(worker.run(settings))
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            yield Mesh(settings.kafka, producer, work)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await producer.stop()


def ref(organization: dict[str, Any]) -> OrganizationRef:
    return OrganizationRef(**{name: organization[name] for name in OrganizationRef.model_fields})


async def test_the_worker_hears_of_batches_and_tells_of_deadlines(node: Any, kafka: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    await node.published(organization, system, name="陈旧的")
    async with node.sessions.begin() as tx:
        await tx.execute(update(Resource).where(Resource.name == "陈旧的").values(published_at=utc_now() - timedelta(days=100)))
    event = BatchAccepted(
        resource_id=made["resource_id"],
        batch_id="019a0000-0000-7000-8000-000000000077",
        resource_version=1,
        provider=ref(organization),
        kind=BatchKind.APPEND,
        sequence=1,
        accepted_at=utc_now(),
        received_count=1,
        accepted_count=1,
        quarantined_count=0,
        rows=ObjectRef(key="k", sha256="0", byte_count=1, row_count=1),
    )
    async with working(node, kafka) as mesh, broker.consumer(mesh.kafka, DeadlineApproaching.TOPIC, auto_offset_reset="earliest") as reader:
        await mesh.send(event)
        path = f"/v1/resources/{made['resource_id']}/mount"
        while (await node.client.get(path, headers=node.authority)).json()["state"] != MountState.SUPPLIED:
            await mesh.a_moment()
        body = {
            "resource_id": made["resource_id"],
            "change": "duties",
            "reason": "职责调整",
            "changed_on": str(add(day_of(utc_now()), -8)),
        }
        duty = await node.made("/v1/duties", body, node.authority)
        record = await reader.getone()
        while not any(isinstance(event, ResourceStale) for event in await node.events()):
            await mesh.a_moment()
    told = DeadlineApproaching.decode(record.value)
    assert (str(told.clock_id), record.key.decode()) == (duty["duty_id"], duty["duty_id"])
    assert (told.days_left, told.organization.uscc, told.resource_name) == (2, organization["uscc"], made["name"])
    assert dict(record.headers)["ce_type"] == DeadlineApproaching.TYPE.encode()


async def test_the_worker_hears_of_grants_that_begin_and_end(node: Any, kafka: Any) -> None:
    made = await node.published(*await node.provider())
    requester = ref(await node.organization("绍兴市卫生健康委员会"))
    resource_id = UUID(made["resource_id"])
    view = ViewSnapshot(
        view_id=uuid4(), resource_id=resource_id, resource_version=1, items=("street_code",), key=("street_code",), topic="dxmesh.view.x",
        schema_url=made["schema_url"],
    )  # fmt: skip
    ids = {"grant_id": uuid4(), "request_id": uuid4(), "resource_id": resource_id, "requester": requester}
    begins = GrantActivated(**ids, view=view, activated_at=utc_now())
    ends = GrantTerminated(**ids, reason="期满", terminated_at=utc_now())

    async def in_force() -> list[tuple[UUID, str, list[str]]]:
        async with node.sessions() as tx:
            found = await grants.list_of(tx, resource_id, now=utc_now())
        return [(one.grant_id, one.requester_name, one.items) for one in found]

    async with working(node, kafka) as mesh:
        for event, expected in ((begins, [(begins.grant_id, requester.name, ["street_code"])]), (ends, [])):
            await mesh.send(event)
            while await in_force() != expected:
                await mesh.a_moment()
