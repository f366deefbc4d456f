"""What quality-svc does when batches have been received."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.exchange import BatchReceived
from quality_svc.assessment import commands
from quality_svc.assessment.bench import Bench


def handlers(bench: Bench) -> Handlers:
    """Return the handlers that check batches at a bench."""

    async def on_batches_received(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
        """Assess all waiting batches in one transaction."""
        await commands.assess(tx, bench, [(cast(BatchReceived, one.event), one.meta) for one in incoming], now=utc_now())

    return {BatchReceived: Group(on_batches_received)}
