"""The teller of exchange-svc: deadlines near their end, missed, and taken further; and grants whose time is over."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.policy import Policy
from dxmesh_runtime.teller import Teller
from exchange_svc.clock import commands, store
from exchange_svc.grant import commands as grants
from exchange_svc.grant import store as grant_rows


def teller(policy: Policy) -> Teller:
    """Return the teller of a node with this policy."""

    async def tell(tx: AsyncSession, *, now: datetime) -> int:
        # grants only when no clock was taken: the resources' rows are locked before clocks, never after
        return await commands.tell_due(tx, now=now) or await grants.expire_due(tx, policy, now=now)

    async def next_moment(tx: AsyncSession, *, now: datetime) -> datetime | None:  # noqa: ARG001  # what is overdue is its own moment
        return min((at for at in (await store.next_moment(tx), await grant_rows.next_end(tx)) if at is not None), default=None)

    return Teller("deadlines", store.CHANNEL, tell, next_moment, begin=commands.recount)
