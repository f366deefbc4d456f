"""Views that close: delivery is told of each with a filter, behind all that was ordered for it, however it came to close."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select

from dxmesh_clocks.policy import regulation
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog import SharingType
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced
from dxmesh_schemas.exchange import DispatchEnded, DispatchOrdered
from exchange_svc.grant import commands as grants
from exchange_svc.grant.store import View

FILTER = {"item": "code", "op": "prefix", "values": ["330602"]}
ONE = {"item": "code", "op": "eq", "value": "330602001"}


async def post(exchange: Any, grant: Any, path: str, by: Any, **body: Any) -> None:
    answer = await exchange.client.post(f"/v1/grants/{grant['grant_id']}/{path}", json=body, headers=exchange.steward(by))
    assert answer.status_code in (200, 201), answer.text


async def terminated(exchange: Any, _: Any, grant: Any) -> None:
    await post(exchange, grant, "termination", exchange.requester, reason="不再需要")


async def expired(exchange: Any, _: Any, grant: Any) -> None:
    await exchange.expire(grant["grant_id"])
    async with exchange.sessions.begin() as tx:
        await grants.expire_due(tx, regulation(), now=utc_now())


async def out_of_time_at_the_next_batch(exchange: Any, resource: Any, grant: Any) -> None:
    await exchange.expire(grant["grant_id"])
    await exchange.accepted(resource.resource_id)


async def narrowed(exchange: Any, _: Any, grant: Any) -> None:
    await post(exchange, grant, "terms", exchange.provider, reason="收窄", approved_by="局长", terms={"where": [ONE]})


async def moved(exchange: Any, resource: Any, _: Any) -> None:
    coming = resource.model_copy(update={"version": 2, "items": resource.items[:3], "published_at": utc_now()})
    announced = ResourceChangeAnnounced(
        resource_id=resource.resource_id, resource=coming, effective_at=utc_now(), announced_at=utc_now(), broken_items=("since",),
        breaks_all=False, grants=(),
    )  # fmt: skip
    await exchange.deliver(announced)
    await exchange.publish(**{name: getattr(coming, name) for name in type(coming).model_fields})


Way = Callable[[Any, Any, Any], Awaitable[None]]


@pytest.mark.parametrize(
    ("close", "where", "sharing"),
    [
        *((close, [FILTER], SharingType.UNCONDITIONAL) for close in (terminated, expired, out_of_time_at_the_next_batch, narrowed, moved)),
        (narrowed, [FILTER], SharingType.CONDITIONAL),  # its own view closes before another has the name
        (moved, [], SharingType.UNCONDITIONAL),  # of a view without a filter nothing is kept
    ],
)
async def test_delivery_is_told_of_each_filtered_view_that_closes_behind_its_last_order(
    exchange: Any, close: Way, where: list[Any], sharing: SharingType
) -> None:
    condition = {"sharing_condition": "仅限核对"} if sharing is SharingType.CONDITIONAL else {}
    resource = await exchange.publish(sharing_type=sharing, **condition)
    await exchange.accepted(resource.resource_id)
    request = (await exchange.ask(resource, terms={"where": where})).json()
    if sharing is SharingType.CONDITIONAL:
        path, body = f"/v1/requests/{request['request_id']}/decision", {"outcome": "granted", "approved_by": "局长"}
        request = (await exchange.client.post(path, json=body, headers=exchange.steward(exchange.provider))).json()
    await close(exchange, resource, {"grant_id": request["grant_id"]})
    async with exchange.sessions() as tx:
        closed = list(await tx.scalars(select(View).where(View.resource_id == resource.resource_id, View.closed_at.is_not(None))))
    assert len(closed) == 1
    said = await exchange.outbox()
    ended = [(place, event.view_id) for place, event in enumerate(said) if isinstance(event, DispatchEnded)]
    assert [view_id for _, view_id in ended] == ([closed[0].view_id] if where else [])
    for told, view_id in ended:
        ordered = [place for place, event in enumerate(said) if isinstance(event, DispatchOrdered) and _names(event, view_id)]
        assert max(ordered) < told


def _names(order: DispatchOrdered, view_id: Any) -> bool:
    return any(view.view_id == view_id for view in order.views)
