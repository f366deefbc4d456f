"""Measuring: who subscribes to grants, and how far each is behind, put together from the database and the broker."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.catalog import UpdateCycle
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.grant import domain as grants
from exchange_svc.grant.domain import State
from exchange_svc.lag import domain, store
from exchange_svc.lag.domain import Measured, Span, Subscriber, Unread
from exchange_svc.lag.groups import Offsets, offsets_of
from exchange_svc.lag.settings import LagSettings
from exchange_svc.lag.store import Held, Reading
from exchange_svc.reader.domain import group_prefix
from exchange_svc.subscription.domain import Place, view_of
from exchange_svc.subscription.store import Subscription

log = structlog.get_logger(__name__)
Groups = Mapping[str, Offsets]
RowT = TypeVar("RowT", Subscription, Reading)


async def groups_of(kafka: KafkaSettings, requesters: Collection[UUID], tuning: LagSettings) -> Groups | None:
    """Return where the consumer groups of organizations are; None when the broker does not say."""
    if not requesters:
        return {}
    try:
        async with asyncio.timeout(tuning.patience_seconds):
            return await offsets_of(kafka, tuple(map(group_prefix, requesters)))
    except (KafkaError, OSError, TimeoutError) as away:
        log.warning("lag.broker_away", error=repr(away))
        return None


async def measure(
    tx: AsyncSession, held: Sequence[Held], groups: Groups, tuning: LagSettings, *, now: datetime
) -> Mapping[UUID, list[Measured]]:
    """Return how the subscribers of each grant stand: consumer groups first, then subscriptions, then who pulls."""
    grant_ids = {one.grant.grant_id for one in held}
    subscriptions = _by_grant(await store.list_subscriptions(tx, grant_ids))
    readings = _by_grant(await store.list_readings(tx, grant_ids))
    places = _places(groups)
    resources = await store.resources_of_views(tx, {view_id for _, _, view_id, _ in places})
    by_party: dict[tuple[str, UUID], list[tuple[str, UUID, Mapping[int, int]]]] = {}
    for organization_id, group, view_id, offsets in places:
        if view_id in resources:
            by_party.setdefault((organization_id, resources[view_id]), []).append((group, view_id, offsets))
    found: list[tuple[Held, Subscriber]] = []
    for one in held:
        reads = by_party.get((str(one.grant.requester_id), one.grant.resource_id), ())
        own = [*_reading_topics(one, reads), *_subscribed(one, subscriptions, readings), *_pulling(one, readings)]
        found += [(one, subscriber) for subscriber in own if subscriber.mode in one.grant.read_terms.modes]
    unread = await _unread(tx, found)
    measured: dict[UUID, list[Measured]] = {grant_id: [] for grant_id in grant_ids}
    pushed = timedelta(seconds=tuning.limit_seconds)
    for (one, subscriber), left in zip(found, unread, strict=True):
        limit = domain.limit_of(subscriber.mode, UpdateCycle(one.resource.snapshot["update_cycle"]), pushed)
        is_suspended = one.grant.state == State.SUSPENDED
        measured[one.grant.grant_id].append(domain.measured(subscriber, left, limit=limit, is_suspended=is_suspended, now=now))
    return measured


def _by_grant(rows: Iterable[RowT]) -> dict[UUID, list[RowT]]:
    found: dict[UUID, list[RowT]] = {}
    for row in rows:
        found.setdefault(row.grant_id, []).append(row)
    return found


def _places(groups: Groups) -> list[tuple[str, str, UUID, Mapping[int, int]]]:
    """Return organization, group, view and offsets of what groups have committed on topics of views."""
    found = []
    for group, topics in groups.items():
        for topic, offsets in topics.items():
            view = view_of(topic)
            if topic == f"dxmesh.view.{view}":
                found.append((group.split(".", 2)[1], group, UUID(view), offsets))
    return found


def _reading_topics(held: Held, reads: Iterable[tuple[str, UUID, Mapping[int, int]]]) -> Iterator[Subscriber]:
    """Yield the groups that read a grant's topic, or one that it had or will have."""
    by_group: dict[str, dict[UUID, Mapping[int, int]]] = {}
    for group, view_id, offsets in reads:
        by_group.setdefault(group, {})[view_id] = offsets
    for group, views in sorted(by_group.items()):
        ours = next((one for one in (held.view.view_id, held.view.successor_id) if one in views), None)
        span = Span(held.view.view_id) if ours is None else Span(ours, offsets=views[ours])
        yield Subscriber(held.grant.grant_id, Mode.TOPIC, group, span, _since(held))


def _subscribed(
    held: Held, subscriptions: Mapping[UUID, list[Subscription]], readings: Mapping[UUID, list[Reading]]
) -> Iterator[Subscriber]:
    fetched = {row.name: row for row in readings.get(held.grant.grant_id, ()) if row.mode == Mode.FILE}
    for row in subscriptions.get(held.grant.grant_id, ()):
        name, mode = str(row.subscription_id), Mode(row.mode)
        if mode is Mode.FILE:
            package = fetched.get(name)
            place, sequence = (Place(), 0) if package is None else (Place.model_validate(package.place), package.sequence)
            span = domain.span_of(place, held.view.view_id, sequence=sequence)
            read_at = None if package is None else package.read_at
        else:
            span, read_at = domain.span_of(row.read_place, held.view.view_id, since=row.start_at), row.delivered_at
        yield Subscriber(held.grant.grant_id, mode, name, span, max(_since(held), row.changed_at), row.state, read_at)


def _pulling(held: Held, readings: Mapping[UUID, list[Reading]]) -> Iterator[Subscriber]:
    for row in readings.get(held.grant.grant_id, ()):
        if row.mode == Mode.PULL:
            span = domain.span_of(Place.model_validate(row.place), held.view.view_id, sequence=row.sequence)
            yield Subscriber(held.grant.grant_id, Mode.PULL, row.name, span, _since(held), read_at=row.read_at)


def _since(held: Held) -> datetime:
    return max(held.grant.activated_at, held.view.opened_at)


async def _unread(tx: AsyncSession, found: Sequence[tuple[Held, Subscriber]]) -> list[Unread]:
    answers = await store.unread(tx, [(subscriber.span, one.grant.resource_id) for one, subscriber in found])
    silent: dict[UUID, bool] = {}
    told: list[Unread] = []
    for (one, _), (there, coming) in zip(found, answers, strict=True):
        is_owed = coming.batch_count and not silent.setdefault(one.view.view_id, _is_silent(one))
        told.append(there + coming if is_owed else there)
    return told


def _is_silent(held: Held) -> bool:
    """Say whether nothing of the resource leaves by the view as it is now, so that nothing will come."""
    return grants.snapshot(held.view.open_view, held.resource.read()) is None
