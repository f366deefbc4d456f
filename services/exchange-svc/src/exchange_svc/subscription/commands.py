"""What is done to subscriptions: open, pause, resume, replay, end; and what their workers note of deliveries and failures."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.exchange_subscriptions import (
    SubscriptionEnded,
    SubscriptionOpened,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
)
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.grant import domain as grants
from exchange_svc.grant import store as grant_store
from exchange_svc.grant.commands import get_visible
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.grant.store import Grant, View
from exchange_svc.subscription import domain, store
from exchange_svc.subscription.domain import Patience, Place, State
from exchange_svc.subscription.errors import SubscriptionInvalid, SubscriptionsTooMany
from exchange_svc.subscription.store import Subscription


async def check_may_open(
    tx: AsyncSession, grant_id: UUID, mode: Mode, *, by: Principal, most: int, now: datetime, lock: bool = False
) -> tuple[Grant, View]:
    """Return the grant that rows may be brought by in this way, to its requester.

    Raises: GrantNotFound (404), GrantOver, GrantIsSuspended, ModeNotGranted (403), SubscriptionsTooMany (429).
    """
    grant, view = await grant_store.get(tx, grant_id, lock=lock)
    if by.own_organization != grant.requester_id:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not subscribe by it")
    check_readable(grant, now=now)
    grants.check_mode(mode, grant.read_terms)
    if await store.count_open(tx, grant_id) >= most:
        raise SubscriptionsTooMany(f"the grant has {most} subscriptions; end one first", retry_after_seconds=60)
    return grant, view


def check_readable(grant: Grant, *, now: datetime) -> None:
    """Let a grant bring rows that may be read. Raises GrantOver, GrantIsSuspended (403)."""
    grants.check_readable(
        grant.state_at(now),
        use_until=grant.use_until,
        termination_reason=grant.termination_reason,
        suspension_reason=grant.suspension_reason,
    )


async def open_subscription(
    tx: AsyncSession,
    grant: Grant,
    subscription_id: UUID,
    mode: Mode,
    *,
    settings: Mapping[str, Any],
    sealed: bytes,
    destination: str,
    from_now: bool,
    now: datetime,
) -> Subscription:
    """Bring a grant's rows by a way; call it under the lock of the grant's row, once the destination was proven.

    from_now: leave out what is on the topic already. A grant without backfill leaves out what was there before it.
    Emits: exchange.subscription.opened.v1.
    """
    row = Subscription(
        subscription_id=subscription_id,
        grant_id=grant.grant_id,
        mode=mode,
        state=State.ACTIVE,
        settings=dict(settings),
        sealed=sealed,
        place=Place().model_dump(mode="json"),
        epoch=1,
        start_at=_start(grant, now if from_now else None),
        row_count=0,
        failure_count=0,
        created_at=now,
        changed_at=now,
    )
    tx.add(row)
    await tx.flush()
    await outbox.add(tx, SubscriptionOpened(**_named(row, grant), destination=destination, opened_at=now), now=now)
    return row


async def get_visible_one(tx: AsyncSession, grant_id: UUID, subscription_id: UUID, who: Principal) -> tuple[Subscription, Grant]:
    """Return a subscription to its requester, the provider, or the authority. Raises GrantNotFound, SubscriptionNotFound (404)."""
    grant, _ = await get_visible(tx, grant_id, who)
    return await store.get(tx, grant_id, subscription_id), grant


async def get_own(tx: AsyncSession, grant_id: UUID, subscription_id: UUID, by: Principal) -> tuple[Subscription, Grant]:
    """Return a subscription, locked, to its requester. Raises GrantNotFound, SubscriptionNotFound (404)."""
    grant, _ = await grant_store.get(tx, grant_id)
    if by.own_organization != grant.requester_id:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not change its subscriptions")
    return await store.get(tx, grant_id, subscription_id, lock=True), grant


async def pause(tx: AsyncSession, grant_id: UUID, subscription_id: UUID, *, reason: str, by: Principal, now: datetime) -> Subscription:
    """Let a subscription stand still, as its requester.

    Raises: GrantNotFound, SubscriptionNotFound (404), SubscriptionState (409). Emits: exchange.subscription.paused.v1.
    """
    row, grant = await get_own(tx, grant_id, subscription_id, by)
    domain.check_pausable(State(row.state))
    row.state, row.reason, row.changed_at = State.PAUSED, reason, now
    await tx.flush()
    await outbox.add(tx, SubscriptionPaused(**_named(row, grant), by="requester", reason=reason, paused_at=now), now=now)
    return row


async def resume(tx: AsyncSession, row: Subscription, grant: Grant, *, reason: str, now: datetime) -> Subscription:
    """Let a locked subscription go on where it stood; call it once the destination was proven again.

    Raises: SubscriptionState (409). Emits: exchange.subscription.resumed.v1.
    """
    domain.check_resumable(State(row.state))
    row.state, row.reason, row.changed_at = State.ACTIVE, None, now
    _forget_failures(row)
    await tx.flush()
    await outbox.add(tx, SubscriptionResumed(**_named(row, grant), reason=reason, resumed_at=now), now=now)
    return row


async def end(tx: AsyncSession, grant_id: UUID, subscription_id: UUID, *, reason: str, by: Principal, now: datetime) -> Subscription:
    """End a subscription, as its requester; its secrets are forgotten.

    Raises: GrantNotFound, SubscriptionNotFound (404), SubscriptionState (409). Emits: exchange.subscription.ended.v1.
    """
    row, grant = await get_own(tx, grant_id, subscription_id, by)
    domain.check_open(State(row.state))
    await _end(tx, row, grant, reason, now)
    return row


async def end_outlived(tx: AsyncSession, *, now: datetime) -> int:
    """End the subscriptions whose grant is over; return how many. Emits: exchange.subscription.ended.v1 for each."""
    found = await store.list_outlived(tx, now=now)
    for row, grant in found:
        await _end(tx, row, grant, f"the grant is {grant.state_at(now)}", now)
    return len(found)


async def _end(tx: AsyncSession, row: Subscription, grant: Grant, reason: str, now: datetime) -> None:
    row.state, row.reason, row.changed_at, row.sealed = State.ENDED, reason, now, b""
    await tx.flush()
    await outbox.add(tx, SubscriptionEnded(**_named(row, grant), reason=reason, ended_at=now), now=now)


async def replay(
    tx: AsyncSession,
    grant_id: UUID,
    subscription_id: UUID,
    *,
    offsets: Mapping[int, int] | None,
    since: datetime | None,
    batch_id: UUID | None,
    by: Principal,
    now: datetime,
) -> Subscription:
    """Take a subscription back to what it delivered: to offsets, to a time, to a batch; all of it when none is named.

    A dead or paused one stays so, and goes on from there once it is resumed.
    Raises: GrantNotFound, SubscriptionNotFound (404), SubscriptionState (409), SubscriptionInvalid (422).
    Emits: exchange.subscription.replayed.v1.
    """
    row, grant = await get_own(tx, grant_id, subscription_id, by)
    domain.check_open(State(row.state))
    if row.mode == Mode.FILE:
        raise SubscriptionInvalid("packages are made anew, not replayed: ask for another", errors=[])
    place = row.read_place
    told = "the beginning"
    if offsets is not None:
        domain.check_offsets(offsets, place)
        place, told = place.back_to(offsets), ", ".join(f"offset {at} of partition {one}" for one, at in sorted(offsets.items()))
    elif batch_id is not None:
        ranges = await store.ranges_since(tx, place.topic, batch_id)
        if ranges is None:
            detail = (
                f"batch {batch_id} is not on {place.topic or 'a topic that was read yet'}; `GET /v1/batches/{batch_id}/deliveries` says"
            )
            raise SubscriptionInvalid.at("/batch_id", detail)
        place, told = place.back_to(domain.earliest(ranges)), f"batch {batch_id}"
    else:
        if since is not None and since > now:
            raise SubscriptionInvalid.of([("/since", "is to come; name a time that was")])
        place, row.start_at = Place(), _start(grant, since)
        told = "the beginning" if since is None else since.isoformat()
    row.place, row.epoch, row.changed_at = place.model_dump(mode="json"), row.epoch + 1, now
    _forget_failures(row)
    await tx.flush()
    await outbox.add(tx, SubscriptionReplayed(**_named(row, grant), since=told, replayed_at=now), now=now)
    return row


async def stand_at(tx: AsyncSession, subscription_id: UUID, *, epoch: int, place: Place) -> bool:
    """Keep where a reading stands; false when a replay came first."""
    row = await store.find_locked(tx, subscription_id)
    if row is None or row.epoch != epoch:
        return False
    row.place = place.model_dump(mode="json")
    return True


async def delivered(tx: AsyncSession, subscription_id: UUID, *, epoch: int, behind: Place, row_count: int, now: datetime) -> None:
    """Note rows that are at their destination, and the offsets behind them; after a replay only that the destination works."""
    row = await store.find_locked(tx, subscription_id)
    if row is None:
        return
    row.row_count, row.delivered_at = row.row_count + row_count, now
    _forget_failures(row)
    if row.epoch == epoch:
        row.place = row.read_place.on_to(behind).model_dump(mode="json")


async def failed(
    tx: AsyncSession,
    subscription_id: UUID,
    *,
    reason: str,
    patience: Patience,
    now: datetime,
    retry_seconds: float | None = None,
    for_good: bool = False,
    is_theirs: bool = False,
) -> Subscription | None:
    """Note a failure: retried later, or paused when it lasts too long, when the destination wants no more, or when only they can mend it.

    for_good: the destination said so; is_theirs: trying again changes nothing until the requester does.
    Emits: exchange.subscription.paused.v1 when it is paused.
    """
    row = await store.find_locked(tx, subscription_id)
    if row is None or row.state != State.ACTIVE:
        return row
    row.failing_since = row.failing_since or now
    row.failure, row.failure_count = reason, row.failure_count + 1
    row.next_attempt_at = now + domain.wait(row.failure_count, retry_seconds, patience)
    over = for_good or domain.gives_up(row.failure_count, row.failing_since, now, patience)
    if not over and not is_theirs:
        return row
    row.state, row.changed_at = State.DEAD if over and not is_theirs else State.PAUSED, now
    row.reason = reason if is_theirs or for_good else f"failing since {row.failing_since.isoformat()}, {row.failure_count} times: {reason}"
    grant, _ = await grant_store.get(tx, row.grant_id)
    await tx.flush()
    await outbox.add(tx, SubscriptionPaused(**_named(row, grant), by="node", reason=row.reason, paused_at=now), now=now)
    return row


def _start(grant: Grant, since: datetime | None) -> datetime | None:
    """Return from when a reading that begins anew has rows; one by a grant without backfill has none from before it."""
    if grant.read_terms.backfill.since != "none":
        return since
    return grant.activated_at if since is None else max(since, grant.activated_at)


def _forget_failures(row: Subscription) -> None:
    row.failing_since = row.failure = row.next_attempt_at = None
    row.failure_count = 0


def _named(row: Subscription, grant: Grant) -> dict[str, Any]:
    return {
        "subscription_id": row.subscription_id,
        "grant_id": row.grant_id,
        "resource_id": grant.resource_id,
        "requester": grant.requester_ref,
        "mode": Mode(row.mode),
    }
