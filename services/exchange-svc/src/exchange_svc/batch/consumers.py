"""What exchange-svc does when quality-svc has assessed batches."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.quality import AssessmentCompleted
from exchange_svc.batch import commands


async def on_assessments(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Settle all waiting batches in one transaction."""
    await commands.assess(tx, [(cast(AssessmentCompleted, one.event), one.meta) for one in incoming], now=utc_now())


HANDLERS: Handlers = {AssessmentCompleted: Group(on_assessments)}
