"""The delivery worker: takes its share of the partitions of dispatches, and works on each in a lane of its own."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from dxmesh_runtime import broker, standstill
from dxmesh_runtime.health import Flag
from dxmesh_runtime.settings import KafkaSettings, ObjectStoreSettings
from dxmesh_schemas.exchange import DeliveryCompleted, DispatchOrdered
from dxmesh_tabular.store import ObjectStore
from exchange_svc.delivery.lane import GROUP, Lane
from exchange_svc.delivery.settings import DeliverySettings
from exchange_svc.enforcement.rows import TokenKeys

log = structlog.get_logger(__name__)
_POLL_INTERVAL_MS = 3_600_000  # lanes wait long where something stalls; a process that is gone is noticed by its heartbeat
_RETRY_SECONDS = 0.5


class WorkerSettings(Protocol):
    """What the worker reads of the service's settings."""

    @property
    def kafka(self) -> KafkaSettings: ...
    @property
    def object_store(self) -> ObjectStoreSettings: ...


async def run_delivery(settings: WorkerSettings, keys: TokenKeys, tuning: DeliverySettings | None = None) -> None:
    """Deliver dispatched batches to the topics of their views until cancelled; several workers share the partitions.

    Guaranteed: a `read_committed` reader sees each batch of a view once and whole, in the order of its dispatches, together with its
    DeliveryCompleted. Only a broker that lost what it held is given rows again, and those carry the same batch and row number.
    Of a view with a key a snapshot is its rows and then a deletion (no value) of each key that readers had and it has no more. With a
    filter, a row that leaves it is a deletion for readers who had its key, and no other key is told.
    No table of the database is used: a consumer of the event keeps the record. keys: of grants' pseudonyms.
    """
    worker = _Worker(settings.kafka, ObjectStore.open(settings.object_store.url), keys, tuning or DeliverySettings())
    await worker.run()


class _Worker(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, kafka: KafkaSettings, store: ObjectStore, keys: TokenKeys, tuning: DeliverySettings) -> None:
        self._kafka = kafka
        self._store = store
        self._keys = keys
        self._tuning = tuning
        self._consumer: AIOKafkaConsumer | None = None
        self._lanes: dict[TopicPartition, asyncio.Task[None]] = {}
        self._waiting: set[TopicPartition] = set()  # for dispatches
        self._changed = asyncio.Event()
        self._ready = Flag("delivery")

    async def run(self) -> None:
        try:
            while True:
                broker.end_if_cancelled()
                await broker.wait_for_topics(self._kafka, [DispatchOrdered.TOPIC, DeliveryCompleted.TOPIC])
                try:
                    await self._work()
                except ProducerFenced:
                    log.warning("delivery.fenced")
                except (KafkaError, OSError) as away:
                    log.warning("delivery.interrupted", error=repr(away))
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._ready.discard()

    async def _work(self) -> None:
        """Be a member of the group until a lane ends: it was fenced, so the group is joined anew."""
        self._consumer = broker.consumer(self._kafka, group=GROUP, max_poll_interval_ms=_POLL_INTERVAL_MS)
        try:
            await self._consumer.start()
            self._consumer.subscribe([DispatchOrdered.TOPIC], listener=self)
            await standstill.watched(
                self._until_a_lane_ends(),
                self._consumer,
                self._kafka,
                [DispatchOrdered.TOPIC],
                group=GROUP,
                busy=lambda place: place not in self._waiting,
            )
        finally:
            self._ready.clear()
            try:
                await self._stop(self._lanes)
            finally:
                await broker.closed(self._consumer.stop())
                await self._stop(self._lanes)  # given to us while the first were ending

    async def _until_a_lane_ends(self) -> None:
        while True:
            self._changed.clear()
            waiter = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait([waiter, *self._lanes.values()], return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            for place, lane in self._lanes.items():  # those that were stopped are no longer among them
                if lane.cancelled():
                    raise standstill.StoodStill(f"the lane of {place.topic}-{place.partition} was cancelled from within")
                if lane.done():
                    lane.result()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Stop the lanes; what they had not committed is aborted here or by the next owner."""
        self._ready.clear()
        await self._stop(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start a lane for each partition."""
        for place in assigned:
            lane = Lane(place, self._consumer, self._kafka, self._store, self._keys, self._tuning, self._waiting)
            self._lanes[place] = asyncio.create_task(lane.run(), name=f"delivery {place.partition}")
        log.info("delivery.assigned", partitions=sorted(place.partition for place in self._lanes))
        self._changed.set()
        self._ready.set()

    async def _stop(self, places: Iterable[TopicPartition]) -> None:
        lanes = [lane for place in list(places) if (lane := self._lanes.pop(place, None)) is not None]
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        self._changed.set()
