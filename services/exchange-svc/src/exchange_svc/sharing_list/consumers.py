"""What exchange-svc keeps of the lists, and what follows from it for grants that a scenario gave."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.teller import wake
from dxmesh_schemas.catalog_lists import ListEntryChanged, ListEntryEnded, ListEntryEntered, ListEntryEvent
from exchange_svc.offer.store import CHANNEL as OFFERS
from exchange_svc.scenario import commands as scenarios
from exchange_svc.sharing_list import store


async def on_entries(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Keep the newest state of demands and scenarios, and tell of grants whose scenario authorizes no more."""
    with telemetry.continued_each(one.meta for one in incoming):
        told = [cast(ListEntryEvent, one.event) for one in incoming]
        entries = [entry for entry in told if entry.kind in store.KINDS]
        if not entries:
            return
        await store.put(tx, entries)
        if changed := {entry.entry_id for entry in entries if entry.kind == "scenario"}:
            await scenarios.lapse(tx, changed, now=utc_now())
            await wake(tx, OFFERS)


HANDLERS: Handlers = {kind: Group(on_entries) for kind in (ListEntryEntered, ListEntryChanged, ListEntryEnded)}
