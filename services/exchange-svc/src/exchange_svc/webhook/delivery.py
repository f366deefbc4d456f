"""Posting a subscription's rows: a message is written down before it is first sent, so a repeat is the same, whoever makes it."""

import asyncio
import hashlib
import time
from collections.abc import Sequence

import httpx
import structlog

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.problem import Problem
from exchange_svc.secrets import unseal
from exchange_svc.subscription import commands as subscriptions
from exchange_svc.subscription.courier import DestinationFailed, Means
from exchange_svc.subscription.domain import Place, Row, owner_of
from exchange_svc.subscription.records import TopicShort, marks_of, ranges_of
from exchange_svc.subscription.store import Standing
from exchange_svc.subscription.topic import Topic
from exchange_svc.webhook import store
from exchange_svc.webhook.domain import Secrets, body_of, headers, retry_after
from exchange_svc.webhook.endpoint import Endpoint, say
from exchange_svc.webhook.store import Message

log = structlog.get_logger(__name__)
_GONE = 410

_Ready = tuple[Message, bytes, Place]
"""A message, its body, and the place behind its rows."""


class Webhook:
    """The courier of one webhook: one message at a time, the next only when this one was taken, so order per key holds."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._topic = Topic(means)
        self._endpoint = Endpoint(means.settings.allowed_networks, means.settings.answer_seconds, means.origin)
        self._ready: _Ready | None = None

    async def close(self) -> None:
        """Let go of every connection."""
        self._ready = None
        await self._topic.close()

    async def step(self, standing: Standing) -> None:
        """Post the message that waits, or the next rows; the place is moved on only after a 2xx.

        Raises: DestinationFailed, TopicAbsent, KafkaError, OSError.
        """
        subscription_id = standing.subscription.subscription_id
        async with self._means.sessions() as tx:
            waiting = await store.find_waiting(tx, subscription_id)
        if waiting is not None and (
            waiting.epoch != standing.subscription.epoch or not await self._topic.may_leave(standing, waiting.topic)
        ):
            async with self._means.sessions.begin() as tx:
                await store.abandon_waiting(tx, subscription_id, now=utc_now())
            waiting = None
        if waiting is None:
            ready = await self._cut(standing)
        elif self._ready is not None and self._ready[0].message_id == waiting.message_id:
            ready = self._ready
        else:
            ready = await self._again(standing, waiting)
        if ready is not None:
            self._ready = ready
            await self._post(standing, *ready)
            self._ready = None

    async def _cut(self, standing: Standing) -> _Ready | None:
        """Write down a message of the next rows; None when there are none."""
        row = standing.subscription
        rows, _, _ = await self._topic.next(standing, row.read_place)
        if not rows:
            return None
        body = await asyncio.to_thread(body_of, rows)
        message = Message(
            message_id=uuid7(),
            subscription_id=row.subscription_id,
            epoch=row.epoch,
            topic=rows[0].topic,
            ranges=[list(one) for one in ranges_of(rows)],
            row_count=len(rows),
            byte_count=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            created_at=utc_now(),
        )
        async with self._means.sessions.begin() as tx:
            tx.add(message)
        return message, body, _behind(rows)

    async def _again(self, standing: Standing, message: Message) -> _Ready | None:
        """Return a message of before with its body, made of the same records; one whose records are gone is given up."""
        place = standing.subscription.read_place
        reader, _ = await self._topic.reader(standing, place)
        try:
            rows: Sequence[Row] = await reader.again([(one[0], one[1], one[2]) for one in message.ranges])
            body = await asyncio.to_thread(body_of, rows)
            if hashlib.sha256(body).hexdigest() == message.sha256:
                await self._topic.back()
                return message, body, _behind(rows)
        except TopicShort:
            pass
        log.warning("webhook.records_gone", message_id=str(message.message_id), topic=message.topic)
        await self._topic.back()
        async with self._means.sessions.begin() as tx:
            await store.abandon_waiting(tx, message.subscription_id, now=utc_now())
        return None

    async def _post(self, standing: Standing, message: Message, body: bytes, behind: Place) -> None:
        row = standing.subscription
        secrets = Secrets.model_validate_json(unseal(self._means.key, owner_of(row.subscription_id), row.sealed))
        now, started = utc_now(), time.monotonic()
        status: int | None = None
        failure: DestinationFailed | None = None
        try:
            told = headers(message.message_id, int(now.timestamp()), body, secrets.at(now))
            answer = await self._endpoint.post(row.settings["url"], told, body)
            status = answer.status
            failure = _judged(status, retry_after(answer.retry_after, now))
        except (httpx.HTTPError, OSError, TimeoutError, Problem) as silent:
            failure = DestinationFailed(silent.detail if isinstance(silent, Problem) else say(silent))
        elapsed_ms = int((time.monotonic() - started) * 1000)
        async with self._means.sessions.begin() as tx:
            said = None if failure is None else failure.reason
            await store.note_attempt(tx, message.message_id, now=now, status=status, failure=said, elapsed_ms=elapsed_ms)
            if failure is None:
                await store.mark_delivered(tx, message.message_id, now=utc_now())
                count = message.row_count
                await subscriptions.delivered(tx, row.subscription_id, epoch=message.epoch, behind=behind, row_count=count, now=utc_now())
        if failure is not None:
            raise failure


def _behind(rows: Sequence[Row]) -> Place:
    return Place(topic=rows[0].topic, offsets={partition: end for partition, _, end in ranges_of(rows)}, marks=marks_of(rows))


def _judged(status: int, retry_seconds: float | None) -> DestinationFailed | None:
    """Return what is wrong with an answer; None for a 2xx."""
    if 200 <= status < 300:
        return None
    if status == _GONE:
        return DestinationFailed("the address answered 410: it is gone for good", for_good=True)
    if 300 <= status < 400:
        return DestinationFailed(f"the address answered {status}: a redirect, which is never followed; subscribe with the new address")
    return DestinationFailed(f"the address answered {status}", retry_seconds=retry_seconds)
