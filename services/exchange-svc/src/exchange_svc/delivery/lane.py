"""One partition of dispatches: rows, completion events, what was delivered, and the offset, in one Kafka transaction after another."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, RecordMetadata
from prometheus_client import Counter, Gauge, Histogram

from dxmesh_runtime import broker, dead_letter, telemetry
from dxmesh_runtime.consumer import read, wrong_data
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import DispatchEnded, DispatchOrdered
from dxmesh_tabular.store import ObjectStore
from exchange_svc.delivery import clients
from exchange_svc.delivery.domain import Bundle, Delivered, Unit, begun_by, bundles, completed, completed_event_id, remember
from exchange_svc.delivery.members import Changes, Memberships
from exchange_svc.delivery.outflow import Parcel, Tally, WrongDispatch, parcels
from exchange_svc.delivery.settings import DeliverySettings
from exchange_svc.enforcement.rows import TokenKeys

log = structlog.get_logger(__name__)
GROUP = "exchange-dispatch"
stalled = Gauge("dxmesh_delivery_stalled", "1 while a partition of dispatches is retried", ["partition"])
delivered_rows = Counter("dxmesh_delivery_rows", "Rows committed to views' topics")
repeats = Counter("dxmesh_delivery_repeats", "Dispatches left out because the view's topic holds their rows")
transaction_seconds = Histogram("dxmesh_delivery_transaction_seconds", "Time of one transaction of deliveries")
_POLL_MS = 1_000
_MOST_DISPATCHES = 500
_MAX_BACKOFF_SECONDS = 15.0


class NothingAcknowledged(Exception):
    """The broker took a batch and cannot say where it lies, or has acknowledged nothing for too long."""


def _seen(future: asyncio.Future[RecordMetadata]) -> None:
    """Take note of a failure, so that giving up a transaction does not complain once for each of its batches."""
    if not future.cancelled():
        future.exception()


@dataclass
class Aside:
    """What waits among dispatches and brings no rows: wrong data, to be parked, and views that ended."""

    parked: list[tuple[ConsumerRecord, Exception]] = field(default_factory=list)
    ended: list[tuple[ConsumerRecord, DispatchEnded]] = field(default_factory=list)

    def take(self, next_offset: int | None) -> "Aside":
        """Return what lies before an offset, and keep the rest; nothing while the first of it is not reached."""
        here = Aside()
        if next_offset is not None:
            here.parked = [one for one in self.parked if one[0].offset < next_offset]
            here.ended = [one for one in self.ended if one[0].offset < next_offset]
            self.parked = [one for one in self.parked if one[0].offset >= next_offset]
            self.ended = [one for one in self.ended if one[0].offset >= next_offset]
        return here


class Lane:
    """The work on one input partition; whoever holds the partition has the transactional id, and so fences who held it before."""

    def __init__(
        self,
        place: TopicPartition,
        consumer: AIOKafkaConsumer,
        kafka: KafkaSettings,
        store: ObjectStore,
        keys: TokenKeys,
        tuning: DeliverySettings,
        waiting: set[TopicPartition],
    ) -> None:
        """waiting: the partitions whose lanes wait for dispatches; this one enters and leaves it."""
        self._place = place
        self._waiting = waiting
        self._consumer = consumer
        self._kafka = kafka
        self._store = store
        self._keys = keys
        self._tuning = tuning
        self._patience = tuning.progress_seconds
        self._condemned: dict[UUID, Exception] = {}
        self._memory: dict[UUID, Delivered] = {}
        self._ended: set[UUID] = set()  # views of which something is kept though they closed
        self._members = Memberships(store, most_keys=tuning.members_keys)
        self._partitions: dict[str, int] = {}
        self._checked: set[UUID] = set()

    async def run(self) -> None:
        """Deliver until cancelled; what fails is aborted and retried with capped backoff, in order, and nothing is skipped.

        Raises: ProducerFenced when another worker holds the partition by now.
        """
        failures = 0
        gauge = stalled.labels(self._place.partition)
        try:
            while True:
                broker.end_if_cancelled()
                try:
                    transactional_id = f"dxmesh-delivery-{self._place.topic}-{self._place.partition}"
                    async with clients.transactional(self._kafka, transactional_id, self._tuning) as producer:
                        await broker.lasting(self._resume(producer))
                        while True:
                            broker.end_if_cancelled()
                            await broker.lasting(self._deliver_waiting(producer))
                            failures = 0
                            gauge.set(0)
                            self._patience = self._tuning.progress_seconds
                except (asyncio.CancelledError, ProducerFenced):
                    raise
                except WrongDispatch as wrong:
                    self._condemned[wrong.event_id] = wrong.cause
                except Exception as error:  # whatever it is, this partition waits and nothing is skipped
                    failures += 1
                    gauge.set(1)
                    self._patience = self._tuning.progress_seconds * min(2**failures, 8)  # a slow broker gets through in the end
                    pause = min(0.1 * 2**failures, _MAX_BACKOFF_SECONDS)
                    log.error("delivery.stalled", partition=self._place.partition, retry_seconds=pause, exc_info=error)
                    await asyncio.sleep(pause)
        finally:
            gauge.set(0)

    async def _resume(self, producer: AIOKafkaProducer) -> None:
        """Go to where the last committed transaction ended; only a started producer sees that for certain."""
        async with asyncio.timeout(self._patience):
            self._memory, own = await clients.restore(self._kafka, producer, self._place.partition)
            self._ended = {view_id for view_id in own if self._memory[view_id].ended_at is not None and self._memory[view_id].members}
            self._partitions.clear()
            self._checked.clear()
            committed = await self._consumer.committed(self._place)
            if committed is None:
                await self._consumer.seek_to_beginning(self._place)
            else:
                self._consumer.seek(self._place, committed)

    async def _deliver_waiting(self, producer: AIOKafkaProducer) -> None:
        await self._remove_ended(producer)
        self._waiting.add(self._place)
        try:
            found = await self._consumer.getmany(self._place, timeout_ms=_POLL_MS, max_records=_MOST_DISPATCHES)
        finally:
            self._waiting.discard(self._place)
        records: Sequence[ConsumerRecord] = found.get(self._place, ())
        if not records:
            return
        self._checked.clear()  # a broker can lose its disk while this producer is idle
        aside = Aside()
        memory = dict(self._memory)  # with what is waiting here taken as delivered, so that a repeat among it is seen as well
        waiting = [(record.offset, await self._units(record, memory, aside)) for record in records]
        for bundle in bundles(waiting, most_rows=self._tuning.transaction_rows):
            with transaction_seconds.time():
                await self._deliver(producer, bundle, aside.take(bundle.next_offset))

    async def _units(self, record: ConsumerRecord, memory: dict[UUID, Delivered], aside: Aside) -> list[Unit]:
        """Return what is to be done for a dispatch, without the views that have had it; what brings no rows is put aside."""
        try:
            incoming = read(record)
            if (wrong := self._condemned.get(incoming.meta.event_id)) is not None:
                raise wrong
        except Exception as error:
            if not wrong_data(error):
                raise
            aside.parked.append((record, error))
            return []
        if isinstance(incoming.event, DispatchEnded):
            aside.ended.append((record, incoming.event))
        if not isinstance(incoming.event, DispatchOrdered):
            return []
        units = []
        for view in incoming.event.views:
            unit = Unit(incoming.event, view, incoming.meta)
            if not await self._was_delivered(unit, memory):
                memory[view.view_id] = remember(memory.get(view.view_id), view, unit.dispatch, ())
                units.append(unit)
        return units

    async def _was_delivered(self, unit: Unit, memory: dict[UUID, Delivered]) -> bool:
        view_id = unit.view.view_id
        if view_id not in memory or not memory[view_id].covers(unit.dispatch):
            return False
        if view_id in self._memory and view_id not in self._checked:
            if not await self._still_holds(view_id):
                memory[view_id] = self._memory[view_id]
                return False
            self._checked.add(view_id)
        repeats.inc()
        log.info("delivery.repeat_left_out", batch_id=str(unit.dispatch.batch_id), view_id=str(view_id))
        return True

    async def _still_holds(self, view_id: UUID) -> bool:
        """Say whether a view's topic holds what was delivered; if it does not, that is forgotten."""
        async with asyncio.timeout(self._patience):
            holds = await clients.still_holds(self._kafka, self._memory[view_id])
        if not holds:
            log.warning("delivery.topic_lost_records", view_id=str(view_id), topic=self._memory[view_id].topic)
            self._memory[view_id] = self._memory[view_id].lost()
        return holds

    async def _deliver(self, producer: AIOKafkaProducer, bundle: Bundle, aside: Aside) -> None:
        """Deliver a bundle in one transaction; it is committed when this returns, and aborted when this raises."""
        await self._prepare_topics(producer, bundle, aside.parked)
        with Changes(self._members, {view_id: state.members for view_id, state in self._memory.items()}) as changes:
            await self._look_back(bundle, changes)
            await self._transact(producer, bundle, aside, changes)

    async def _look_back(self, bundle: Bundle, changes: Changes) -> None:
        """Note what readers of views without a filter have, by the topics, before a snapshot says what there is."""
        for unit in bundle.units:
            state = self._memory.get(unit.view.view_id)
            if not unit.looks_back or state is None or not state.ends or not await self._still_holds(state.view_id):
                continue
            before = changes.look_back(state.view_id)
            async with aclosing(clients.told(self._kafka, state, patience=self._patience)) as told:
                async for records in told:
                    noted = asyncio.ensure_future(asyncio.to_thread(before.take, records))
                    try:
                        await asyncio.shield(noted)
                    finally:
                        await asyncio.gather(noted, return_exceptions=True)  # a thread cannot be cancelled, and its folder must not go

    async def _transact(self, producer: AIOKafkaProducer, bundle: Bundle, aside: Aside, changes: Changes) -> None:
        await producer.begin_transaction()
        try:
            with ExitStack() as spans:
                traces = []
                for unit in bundle.units:
                    spans.enter_context(telemetry.continued(unit.meta, name="deliver"))
                    traces.append(telemetry.current_traceparent())
                tallies = await self._send_rows(producer, bundle, changes)
                async with asyncio.timeout(self._patience):
                    states = await self._send_completions(producer, tallies, traces, changes, [event.view_id for _, event in aside.ended])
                    await self._send_parked(producer, aside.parked)
                    if bundle.next_offset is not None:
                        await producer.send_offsets_to_transaction({self._place: OffsetAndMetadata(bundle.next_offset, "")}, GROUP)
                    await producer.commit_transaction()
        except BaseException:
            with suppress(KafkaError, OSError, TimeoutError, AssertionError):  # the next producer's start ends the transaction all the same
                await asyncio.wait_for(producer.abort_transaction(), 2)
            raise
        self._memory.update(states)
        self._ended |= {view_id for view_id, state in states.items() if state.ended_at is not None and state.members}
        if changes.followed:
            await asyncio.to_thread(changes.committed)
        delivered_rows.inc(sum(tally.row_count for tally in tallies))
        for record, error in aside.parked:
            telemetry.dead_letters.labels(GROUP, record.topic).inc()
            log.error("delivery.parked", offset=record.offset, reason=str(error)[:500])

    async def _prepare_topics(self, producer: AIOKafkaProducer, bundle: Bundle, parked: Sequence[tuple[ConsumerRecord, Exception]]) -> None:
        async with asyncio.timeout(self._patience):
            if missing := {unit.view.topic for unit in bundle.units} - self._partitions.keys():
                await clients.ensure_view_topics(self._kafka, missing, self._tuning)
                for topic in missing:
                    self._partitions[topic] = len(await producer.partitions_for(topic))
            if parked:
                await broker.ensure_topics(self._kafka, [self._dead_letters])

    @property
    def _dead_letters(self) -> str:
        return f"{self._place.topic}{dead_letter.SUFFIX}"

    async def _send_rows(self, producer: AIOKafkaProducer, bundle: Bundle, changes: Changes) -> list[Tally]:
        """Send the rows of a bundle, making the next record batch while the last one is on its way."""
        tallies = [Tally(unit) for unit in bundle.units]
        source = parcels(self._store, tallies, self._partitions, self._keys, changes, columnar=self._tuning.columnar)
        sent: list[tuple[Parcel, asyncio.Future[RecordMetadata]]] = []
        ahead = asyncio.ensure_future(asyncio.to_thread(next, source, None))
        try:
            while (parcel := await ahead) is not None:
                ahead = asyncio.ensure_future(asyncio.to_thread(next, source, None))
                async with asyncio.timeout(self._patience):
                    future = await producer.send_batch(parcel.builder, parcel.topic, partition=parcel.partition)
                future.add_done_callback(_seen)
                sent.append((parcel, future))
        finally:
            await asyncio.gather(ahead, return_exceptions=True)  # a thread cannot be cancelled, and the file must not close under it
            source.close()
        async with asyncio.timeout(self._patience):
            for parcel, future in sent:
                first = (await future).offset
                if first < 0:
                    raise NothingAcknowledged(f"the broker does not say where a batch of {parcel.topic}-{parcel.partition} lies")
                for tally, count in parcel.parts:
                    tally.place(parcel.partition, first, count)
                    first += count
        return tallies

    async def _send_completions(
        self, producer: AIOKafkaProducer, tallies: Sequence[Tally], traces: Sequence[str | None], changes: Changes, ended: Sequence[UUID]
    ) -> dict[UUID, Delivered]:
        states: dict[UUID, Delivered] = {}
        waiting = []
        for tally, trace in zip(tallies, traces, strict=True):
            unit, now = tally.unit, utc_now()
            ranges = [(partition, *place) for partition, place in sorted(tally.offsets.items())]
            event = completed(
                unit,
                ranges=ranges,
                delivered_count=tally.row_count,
                withheld_count=tally.withheld_count,
                misfits=tally.misfits,
                filtered_count=tally.filtered_count,
                vanished_count=tally.vanished_count,
                sha256=tally.digest.hexdigest(),
                now=now,
            )
            event_id = completed_event_id(event.batch_id, event.view_id)
            headers = Meta(event_id, event.TYPE, event.SOURCE, now, traceparent=trace).headers()
            waiting.append(await producer.send(event.TOPIC, event.encode(), event.key.encode(), headers=headers))
            before = states.get(event.view_id) or self._memory.get(event.view_id)
            followed = changes.followed.get(event.view_id)
            members = None if followed is None else followed.members.objects
            ends = ((partition, last) for partition, _, last in ranges)
            begun = begun_by(before, ranges) if unit.looks_back and tally.is_whole else None
            states[event.view_id] = remember(before, unit.view, unit.dispatch, ends, members, begun)
        for view_id in ended:
            if (state := states.get(view_id) or self._memory.get(view_id)) is not None:
                states[view_id] = state.model_copy(update={"ended_at": state.ended_at or utc_now()})
        if states:
            waiting += await self._tell(producer, states)
        await asyncio.gather(*waiting)
        return states

    async def _tell(self, producer: AIOKafkaProducer, states: Mapping[UUID, Delivered]) -> list[asyncio.Future[RecordMetadata]]:
        partition = clients.state_partition(self._place.partition, await producer.partitions_for(clients.STATE_TOPIC))
        told = [(str(view_id).encode(), state.model_dump_json().encode()) for view_id, state in states.items()]
        return [await producer.send(clients.STATE_TOPIC, value, key, partition=partition) for key, value in told]

    async def _remove_ended(self, producer: AIOKafkaProducer) -> None:
        """Remove which keys readers had of views that closed a while ago, and then forget where that was kept."""
        over = {view_id for view_id in self._ended if self._members.is_over(self._memory[view_id].ended_at)}
        if not over:
            return
        for view_id in over:
            await asyncio.to_thread(self._members.remove, view_id)
        states = {view_id: self._memory[view_id].model_copy(update={"members": ()}) for view_id in over}
        async with asyncio.timeout(self._patience):
            await producer.begin_transaction()
            await asyncio.gather(*await self._tell(producer, states))
            await producer.commit_transaction()
        self._memory.update(states)
        self._ended -= over

    async def _send_parked(self, producer: AIOKafkaProducer, parked: Sequence[tuple[ConsumerRecord, Exception]]) -> None:
        for record, error in parked:
            headers = dead_letter.headers(GROUP, record, error)
            await (await producer.send(self._dead_letters, record.value, record.key, headers=headers))
