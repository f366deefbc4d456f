"""What is done with demands: find what may meet one, and ask for it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.policy import Policy
from dxmesh_runtime.auth import Principal
from exchange_svc.demand import domain, store
from exchange_svc.request import answering
from exchange_svc.request.commands import Asked
from exchange_svc.request.store import SharingRequest

_indexes: dict[str, domain.Index] = {}  # of what is published now; made anew when that changes


async def match(tx: AsyncSession, entry_id: UUID, *, most: int) -> Sequence[domain.Candidate]:
    """Return the published resources that may meet a demand, best first. Raises: DemandNotFound (404)."""
    demand = (await store.get(tx, entry_id)).read()
    state = await store.state_of_published(tx)
    index = _indexes.get(state)
    if index is None:
        published = await store.list_published(tx)
        index = await asyncio.to_thread(domain.Index, published)
        _indexes.clear()
        _indexes[state] = index
    return await asyncio.to_thread(index.candidates, demand, most=most)


async def ask(
    tx: AsyncSession, policy: Policy, entry_id: UUID, asked: Asked, *, by: Principal, public_url: str, now: datetime
) -> SharingRequest:
    """Ask for a resource by a demand: what the request does not say, the demand does.

    Raises: DemandNotFound (404), NotYourDemand (403), DemandOver (409); otherwise as `answering.ask`.
    Emits: as `answering.ask`.
    """
    demand = (await store.get(tx, entry_id)).read()
    domain.check_asks(demand, by.own_organization)
    items = asked.items
    if items is None and demand.resource_id == asked.resource_id and demand.items:
        items = demand.items
    said = replace(
        asked,
        items=items,
        scenario=asked.scenario or demand.name,
        purpose=asked.purpose or demand.content or demand.name,
        demand_id=entry_id,
    )
    return await answering.ask(tx, policy, said, by=by, public_url=public_url, now=now)
