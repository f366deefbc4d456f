"""Looks at all subscribers in slow rounds, keeps the metrics of how they stand, and tells of those that fall behind and catch up."""

import asyncio
from collections import Counter
from datetime import datetime

import structlog
from prometheus_client import Gauge

from dxmesh_runtime import broker
from dxmesh_runtime.db import Database, is_away, utc_now
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.lag import commands, measuring, store
from exchange_svc.lag.domain import Measured, Standing
from exchange_svc.lag.settings import LagSettings

log = structlog.get_logger(__name__)
subscribers = Gauge("dxmesh_subscribers", "Subscribers of grants in force, by way of delivery and how they stand", ["mode", "standing"])
lag_seconds = Gauge("dxmesh_subscriber_lag_seconds", "Of the subscriber of each way that is furthest behind", ["mode"])
_AT_ONCE = 500
_TOLD = 20  # of those behind, by name in the log; the report has all


async def run_lag(database: Database, kafka: KafkaSettings, settings: LagSettings) -> None:
    """Measure until cancelled, a round every `round_seconds`; a database that is away is waited for."""
    while True:
        broker.end_if_cancelled()
        try:
            await measure_all(database, kafka, settings, now=utc_now())
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("lag.interrupted", error=repr(error))
        await asyncio.sleep(settings.round_seconds)


async def measure_all(database: Database, kafka: KafkaSettings, settings: LagSettings, *, now: datetime) -> None:
    """Measure every subscriber once; while the broker does not say where groups are, the metrics stay as they were, and nothing is told."""
    found: list[Measured] = []
    after = None
    while True:
        async with database.sessions() as tx:
            held = await store.list_held(tx, limit=_AT_ONCE, after=after, now=now)
            groups = await measuring.groups_of(kafka, {one.grant.requester_id for one in held}, settings)
            if groups is None:
                return
            by_grant = await measuring.measure(tx, held, groups, settings, now=now)
        async with database.sessions.begin() as tx:
            await commands.tell(tx, held, by_grant, now=now)
        for measured in by_grant.values():
            found += measured
        if len(held) < _AT_ONCE:
            break
        after = (held[-1].grant.activated_at, held[-1].grant.grant_id)
    async with database.sessions.begin() as tx:
        await store.forget_ended(tx, now=now)
    _show(found, now)


def _show(found: list[Measured], now: datetime) -> None:
    counts = Counter((one.subscriber.mode, one.standing) for one in found)
    for mode in Mode:
        if mode is Mode.VERIFY:
            continue
        for standing in Standing:
            subscribers.labels(mode.value, standing.value).set(counts[mode, standing])
        own = [one.lag(now).total_seconds() for one in found if one.subscriber.mode is mode and one.standing is not Standing.SUSPENDED]
        lag_seconds.labels(mode.value).set(max(own, default=0.0))
    behind = [one for one in found if one.standing is Standing.BEHIND]
    if behind:
        named = [{"grant_id": str(one.subscriber.grant_id), "mode": one.subscriber.mode, "name": one.subscriber.name} for one in behind]
        log.warning("lag.behind", count=len(behind), subscribers=named[:_TOLD])
