"""The worker of subscriptions: takes its share of them, and works on each by itself, so a slow destination holds no other up."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from dxmesh_runtime import broker
from dxmesh_runtime.db import Database, is_away, utc_now
from dxmesh_runtime.health import Flag
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.subscription import commands, store
from exchange_svc.subscription.courier import Courier, DestinationFailed, Means
from exchange_svc.subscription.records import TopicAbsent
from exchange_svc.subscription.store import Standing, Subscription
from exchange_svc.webhook import store as messages

log = structlog.get_logger(__name__)
owned = Gauge("dxmesh_subscriptions_owned", "Subscriptions this process brings rows to")
unowned = Gauge("dxmesh_subscriptions_unowned", "Subscriptions that are due and that another process has, or none")
failures = Counter("dxmesh_subscription_failures", "Steps that a destination did not take", ["mode"])
_CLAIMS = 20  # new ones at a time, so that processes which start together share them
_FORGET_SECONDS = 3600.0  # between two looks for records of messages that are old enough
_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended('dxmesh subscription ' || :subscription_id, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended('dxmesh subscription ' || :subscription_id, 0))")
_UNLOCK_ALL = text("SELECT pg_advisory_unlock_all()")

Couriers = dict[Mode, Callable[[Means], Courier]]


class Worker:
    """Owns subscriptions by advisory locks of one connection: the database lets them go the moment this process is gone."""

    def __init__(self, database: Database, means: Means, couriers: Couriers) -> None:
        self._database = database
        self._means = means
        self._couriers = couriers
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._ready = Flag("subscriptions")
        self._forget_at = 0.0

    async def run(self) -> None:
        """Bring rows to every subscription this process owns until cancelled; a lost database is waited for."""
        try:
            while True:
                broker.end_if_cancelled()
                try:
                    async with self._database.autocommit.connect() as connection:
                        self._ready.set()
                        try:
                            await self._own(connection)
                        finally:  # the connection goes back to the pool, and would keep the locks
                            await self._stop(list(self._tasks))
                            with suppress(SQLAlchemyError, OSError):
                                await connection.execute(_UNLOCK_ALL)
                except (SQLAlchemyError, OSError) as away:
                    if not is_away(away):
                        raise
                    log.warning("subscription.database_away", error=repr(away))
                finally:
                    self._ready.clear()
                await asyncio.sleep(self._means.settings.poll_seconds)
        finally:
            self._ready.discard()

    async def _own(self, connection: AsyncConnection) -> None:
        while True:
            broker.end_if_cancelled()
            async with self._means.sessions.begin() as tx:
                await commands.end_outlived(tx, now=utc_now())
                if time.monotonic() >= self._forget_at:
                    await messages.forget(tx, before=utc_now() - timedelta(seconds=self._means.settings.keep_messages_seconds))
                    self._forget_at = time.monotonic() + _FORGET_SECONDS
            async with self._means.sessions() as tx:
                due = await store.list_due(tx, now=utc_now())
            wanted = set(due)
            for subscription_id in [one for one, task in self._tasks.items() if task.done() or one not in wanted]:
                await self._stop([subscription_id])
                await connection.execute(_UNLOCK, {"subscription_id": str(subscription_id)})
            claims = 0
            for subscription_id in due:
                if subscription_id in self._tasks or claims >= _CLAIMS or len(self._tasks) >= self._means.settings.most_owned:
                    continue
                if await connection.scalar(_LOCK, {"subscription_id": str(subscription_id)}):
                    claims += 1
                    name = f"subscription {subscription_id}"
                    self._tasks[subscription_id] = asyncio.create_task(self._bring(subscription_id), name=name)
            owned.set(len(self._tasks))
            unowned.set(len(due) - len(self._tasks))
            await asyncio.sleep(self._means.settings.poll_seconds)
            await connection.execute(text("SELECT 1"))  # a connection that is gone has let the locks go

    async def _stop(self, subscription_ids: list[UUID]) -> None:
        tasks = [self._tasks.pop(one) for one in subscription_ids]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                try:
                    await task
                except Exception as error:  # it is claimed again a moment later
                    log.error("subscription.failed", task=task.get_name(), exc_info=error)

    async def _bring(self, subscription_id: UUID) -> None:
        courier: Courier | None = None
        try:
            while True:
                broker.end_if_cancelled()
                now = utc_now()
                async with self._means.sessions() as tx:
                    standing = await store.find_standing(tx, subscription_id, now=now)
                if standing is None:
                    return
                if courier is None:
                    courier = self._couriers[Mode(standing.subscription.mode)](self._means)
                next_at = standing.subscription.next_attempt_at
                if next_at is not None and next_at > now:
                    await asyncio.sleep(min((next_at - now).total_seconds(), self._means.settings.poll_seconds))
                    continue
                await self._step(courier, standing)
        finally:
            if courier is not None:
                await asyncio.shield(courier.close())

    async def _step(self, courier: Courier, standing: Standing) -> None:
        row = standing.subscription
        try:
            await courier.step(standing)
        except DestinationFailed as failure:
            log.info("subscription.not_taken", subscription_id=str(row.subscription_id), mode=row.mode, reason=failure.reason)
            await self._failed(row, failure)
        except (TopicAbsent, KafkaError, OSError, TimeoutError) as unread:
            log.info("subscription.topic_unread", subscription_id=str(row.subscription_id), error=repr(unread))
            await courier.close()
            await asyncio.sleep(self._means.settings.poll_seconds)
        except Exception as error:  # what only this subscription meets: it is met with patience, as any other failure
            if is_away(error) or isinstance(error, SQLAlchemyError):
                raise
            log.error("subscription.failed", subscription_id=str(row.subscription_id), mode=row.mode, exc_info=error)
            await courier.close()
            await self._failed(row, DestinationFailed(f"this node could not bring the rows ({type(error).__name__}); ask its operator"))

    async def _failed(self, row: Subscription, failure: DestinationFailed) -> None:
        failures.labels(row.mode).inc()
        async with self._means.sessions.begin() as tx:
            await commands.failed(
                tx,
                row.subscription_id,
                reason=failure.reason,
                patience=self._means.patience,
                now=utc_now(),
                retry_seconds=failure.retry_seconds,
                for_good=failure.for_good,
                is_theirs=failure.is_theirs,
            )
