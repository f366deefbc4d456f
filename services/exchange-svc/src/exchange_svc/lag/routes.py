"""HTTP of lag: how far each subscriber is behind."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.access import whose
from exchange_svc.grant import commands as grants
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.lag import measuring, store
from exchange_svc.lag.domain import Measured, Standing

router = APIRouter(prefix="/v1", tags=["lag"])


class SubscriberOut(BaseModel):
    """How far one subscriber is behind."""

    mode: Mode
    name: str = Field(description="the consumer group, the subscription, or the system that pulls; empty where no system was named")
    standing: Standing
    state: str | None = Field(description="of the subscription, where it is one")
    lag_seconds: float = Field(description="for how long it could have had the first of what it has not had; 0 when it has everything")
    limit_seconds: float | None = Field(description="from which lag on it is behind; null: it may fetch when it wants")
    oldest_unread_at: datetime | None = Field(description="when the first of what it has not had was there to be had")
    unread_batch_count: int
    unread_row_count: int
    is_least: bool = Field(description="it is so far behind that not all was counted")
    last_read_at: datetime | None = Field(description="null where it never read, and for consumer groups, of which the broker does not say")


class GrantLagOut(BaseModel):
    """A grant and who has its rows."""

    grant_id: UUID
    resource_id: UUID
    resource_name: str
    taxonomies: list[str] = Field(description="base databases, domain warehouses and theme databases the resource belongs to")
    provider: OrganizationRef
    requester: OrganizationRef
    last_sequence: int = Field(description="of the resource's last accepted batch")
    subscribers: list[SubscriberOut] = Field(description="none: nobody has begun to read by the grant")


class LagPage(Page[GrantLagOut]):
    """Grants with their subscribers."""

    groups_told: bool = Field(description="false: the broker does not answer, so consumer groups are left out")


@router.get("/lag", responses=problems(CursorInvalid))
async def list_lag(
    request: Request,
    who: Who,
    tx: Tx,
    resource_id: UUID | None = None,
    taxonomy: Annotated[str | None, Query(max_length=200, description="only resources of this base database, warehouse or theme")] = None,
    standing: Annotated[Standing | None, Query(description="only subscribers that stand so; pages may hold fewer grants then")] = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> LagPage:
    """List how far the subscribers of grants in force are behind: of the caller's resources and grants, newest grants first.

    The data authority sees everybody's.
    """
    now = utc_now()
    rows = await store.list_held(
        tx,
        organization_id=whose(who),
        resource_id=resource_id,
        taxonomy=taxonomy,
        limit=limit + 1,
        after=after_time(cursor),
        now=now,
    )
    page = cut(rows, limit, lambda held: (held.grant.activated_at, held.grant.grant_id))
    items, told = await _measured(request, tx, page.items, now)
    if standing is not None:
        for item in items:
            item.subscribers = [one for one in item.subscribers if one.standing is standing]
        items = [item for item in items if item.subscribers]
    return LagPage(items=items, next_cursor=page.next_cursor, groups_told=told)


@router.get("/grants/{grant_id}/lag", responses=problems(GrantNotFound))
async def get_lag(grant_id: UUID, request: Request, who: Who, tx: Tx) -> LagPage:
    """Return how far the subscribers of one grant are behind, to its requester, its provider and the authority; empty when it is over."""
    await grants.get_visible(tx, grant_id, who)
    now = utc_now()
    items, told = await _measured(request, tx, await store.list_held(tx, grant_id=grant_id, limit=1, now=now), now)
    return LagPage(items=items, groups_told=told)


async def _measured(request: Request, tx: AsyncSession, held: Sequence[store.Held], now: datetime) -> tuple[list[GrantLagOut], bool]:
    settings = request.state.settings
    groups = await measuring.groups_of(settings.kafka, {one.grant.requester_id for one in held}, settings.lag)
    measured = await measuring.measure(tx, held, groups or {}, settings.lag, now=now)
    return [_out(one, measured[one.grant.grant_id], now) for one in held], groups is not None


def _out(held: store.Held, measured: Sequence[Measured], now: datetime) -> GrantLagOut:
    resource = held.resource
    return GrantLagOut(
        grant_id=held.grant.grant_id,
        resource_id=resource.resource_id,
        resource_name=resource.snapshot["name"],
        taxonomies=resource.snapshot.get("taxonomies", []),
        provider=resource.snapshot["provider"],
        requester=held.grant.requester_ref,
        last_sequence=resource.last_sequence,
        subscribers=[_one(one, now) for one in measured],
    )


def _one(measured: Measured, now: datetime) -> SubscriberOut:
    subscriber, unread = measured.subscriber, measured.unread
    return SubscriberOut(
        mode=subscriber.mode,
        name=subscriber.name,
        standing=measured.standing,
        state=subscriber.state,
        lag_seconds=measured.lag(now).total_seconds(),
        limit_seconds=None if measured.limit is None else measured.limit.total_seconds(),
        oldest_unread_at=unread.oldest_at,
        unread_batch_count=unread.batch_count,
        unread_row_count=unread.row_count,
        is_least=unread.is_least,
        last_read_at=subscriber.read_at,
    )
