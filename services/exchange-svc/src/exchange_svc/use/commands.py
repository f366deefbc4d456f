"""What is done to records of use: they are filed, and nothing else."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.working_days import day_of
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.exchange_usage import GrantUseRecorded, Use
from exchange_svc.grant import store as grants
from exchange_svc.grant.domain import IN_FORCE
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.use import domain, store
from exchange_svc.use.errors import UseRecorded


async def record(
    tx: AsyncSession, grant_id: UUID, use: Use, *, first_on: date, last_on: date, by: Principal, now: datetime
) -> store.UseRecord:
    """Record what was done with the data of a grant on some days, as its requester; also once the grant is over.

    Raises: GrantNotFound (404), UseInvalid (422), UseRecorded (409).
    Emits: exchange.grant.use_recorded.v1.
    Source: 政务数据共享条例 Art. 29 (scenario, process, effect, storage and destruction are recorded, and kept three years and more).
    """
    grant, _ = await grants.get(tx, grant_id)
    if by.own_organization != grant.requester_id:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not record its use")
    domain.check_days(first_on, last_on, begun_on=day_of(grant.activated_at), ended_on=_ended_on(grant, now), today=day_of(now))
    row = store.UseRecord(
        use_id=uuid7(),
        grant_id=grant_id,
        resource_id=grant.resource_id,
        requester_id=grant.requester_id,
        requester=grant.requester,
        provider_id=grant.provider_id,
        first_on=first_on,
        last_on=last_on,
        use=use.model_dump(mode="json"),
        recorded_at=now,
        recorded_by=by.subject,
    )
    if not await store.add(tx, row):
        raise UseRecorded(f"the use from {first_on} to {last_on} was recorded before, and is kept as it was; record other days")
    recorded = GrantUseRecorded(**grant.named, use_id=row.use_id, first_on=first_on, last_on=last_on, use=use, recorded_at=now)
    await outbox.add(tx, recorded, now=now)
    return row


def _ended_on(grant: grants.Grant, now: datetime) -> date | None:
    """Return the last day of a grant that is over."""
    if grant.state_at(now) in IN_FORCE:
        return None
    ended_at = grant.terminated_at or grant.use_until
    return None if ended_at is None else day_of(ended_at)
