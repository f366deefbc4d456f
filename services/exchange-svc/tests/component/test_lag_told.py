"""Who falls behind is told once, and once that it has caught up."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.exchange_usage import GrantCaughtUp, GrantFellBehind
from exchange_svc.grant.store import Grant
from exchange_svc.lag import commands, measuring, store
from exchange_svc.lag.settings import LagSettings
from exchange_svc.subscription.store import Subscription

LATE = timedelta(minutes=16)


async def looked(exchange: Any, *, later: timedelta = timedelta()) -> list[tuple[str, str]]:
    """Look at everybody, as the worker does each minute; return what was told in all: the event and the subscriber."""
    now = utc_now() + later
    async with exchange.sessions() as tx:
        held = await store.list_held(tx, limit=100, now=now)
        found = await measuring.measure(tx, held, {}, LagSettings(), now=now)
    async with exchange.sessions.begin() as tx:
        await commands.tell(tx, held, found, now=now)
        await store.forget_ended(tx, now=now)
    events = [one for one in await exchange.outbox() if isinstance(one, GrantFellBehind | GrantCaughtUp)]
    return [(type(one).__name__, one.subscriber) for one in events]


async def waiting(exchange: Any) -> tuple[dict[str, Any], str]:
    """Return a grant and its webhook, which has not had a batch that is accepted."""
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    now, subscription_id = utc_now(), uuid7()
    fields: dict[str, Any] = {"state": "active", "settings": {}, "sealed": b"", "place": {"topic": "", "offsets": {}}, "epoch": 1}
    counts = {"row_count": 0, "failure_count": 0, "created_at": now, "changed_at": now}
    async with exchange.sessions.begin() as tx:
        named = {"subscription_id": subscription_id, "grant_id": UUID(grant["grant_id"]), "mode": "webhook"}
        await tx.execute(insert(Subscription).values(named | fields | counts))
    await exchange.accepted(resource.resource_id)
    return grant, str(subscription_id)


async def change(exchange: Any, kind: Any, **values: Any) -> None:
    async with exchange.sessions.begin() as tx:
        await tx.execute(update(kind).values(**values))


async def test_a_subscriber_that_falls_behind_is_told_of_once_and_once_when_it_has_caught_up(exchange: Any) -> None:
    grant, name = await waiting(exchange)
    assert await looked(exchange) == [], "it is reading"
    fell, caught = ("GrantFellBehind", name), ("GrantCaughtUp", name)
    assert await looked(exchange, later=LATE) == [fell]
    assert await looked(exchange, later=LATE + timedelta(hours=1)) == [fell], "also where another process looks"
    assert await looked(exchange, later=timedelta(minutes=10)) == [fell], "it is not behind, and not yet caught up"
    assert await looked(exchange, later=timedelta(minutes=7)) == [fell, caught]
    assert await looked(exchange, later=timedelta(minutes=7)) == [fell, caught]
    assert await looked(exchange, later=LATE) == [fell, caught, fell]
    [told, *_] = [one for one in await exchange.outbox() if isinstance(one, GrantFellBehind)]
    assert (str(told.grant_id), told.mode, told.limit_seconds) == (grant["grant_id"], "webhook", 900)
    assert (told.unread_batch_count, told.unread_row_count) == (1, 3)


async def test_a_subscriber_that_ends_or_may_not_read_has_not_caught_up(exchange: Any) -> None:
    _, name = await waiting(exchange)
    told = [("GrantFellBehind", name)]
    assert await looked(exchange, later=LATE) == told
    await change(exchange, Grant, state="suspended")
    assert await looked(exchange, later=LATE) == told
    await change(exchange, Grant, state="active")
    assert await looked(exchange, later=LATE) == told, "it was told of before"
    await change(exchange, Subscription, state="ended")
    assert await looked(exchange) == told
    async with exchange.sessions() as tx:
        assert (await tx.scalars(select(store.Behind))).all() == []
    await change(exchange, Subscription, state="active")
    assert await looked(exchange, later=LATE) == told * 2
    await change(exchange, Grant, state="terminated")
    assert await looked(exchange, later=LATE) == told * 2
    async with exchange.sessions() as tx:
        assert (await tx.scalars(select(store.Behind))).all() == []


async def test_two_that_look_at_once_tell_once(exchange: Any) -> None:
    _, name = await waiting(exchange)
    now = utc_now() + LATE
    async with exchange.sessions() as tx:
        held = await store.list_held(tx, limit=100, now=now)
        found = await measuring.measure(tx, held, {}, LagSettings(), now=now)
    async with exchange.sessions.begin() as one:
        await commands.tell(one, held, found, now=now)
        async with exchange.sessions.begin() as other:
            await commands.tell(other, held, found, now=now)
    assert await looked(exchange, later=LATE) == [("GrantFellBehind", name)]
