"""Every event becomes an entry, and what the pace allows is signed in the same transaction."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from audit_svc.checkpoint import commands as checkpoints
from audit_svc.checkpoint.commands import Pace
from audit_svc.checkpoint.domain import Signer
from audit_svc.log import commands
from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Incoming
from dxmesh_runtime.db import utc_now


def recorder(signer: Signer, pace: Pace) -> Group:
    """Return the handler of every event, whatever its type."""

    async def on_events(tx: AsyncSession, events: Sequence[Incoming]) -> None:
        now = utc_now()
        with telemetry.continued_each((event.meta for event in events), name="log"):
            tree = await commands.append(tx, events, now=now)
        await checkpoints.sign_if_due(tx, tree, signer, pace, now=now)

    return Group(on_events)
