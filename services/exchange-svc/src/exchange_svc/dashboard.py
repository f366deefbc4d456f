"""The operator's page: batches, rows, requests, grants, deliveries in flight; to a department's operator its own."""

from datetime import datetime, time, timedelta, timezone
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.shell import DashboardAccess, renderer
from exchange_svc.batch.domain import State as BatchState
from exchange_svc.batch.store import Batch
from exchange_svc.catalog.store import Resource
from exchange_svc.clock.store import Clock
from exchange_svc.delivery.store import Delivery
from exchange_svc.dispute.domain import State as DisputeState
from exchange_svc.dispute.store import Dispute
from exchange_svc.grant.domain import IN_FORCE
from exchange_svc.grant.domain import State as GrantState
from exchange_svc.grant.store import Grant, View
from exchange_svc.pages import words
from exchange_svc.pages.view import own_only
from exchange_svc.reconciliation.domain import CaseState
from exchange_svc.reconciliation.store import Case
from exchange_svc.request.domain import WAITING
from exchange_svc.request.store import SharingRequest
from exchange_svc.rows import Base
from exchange_svc.subscription.domain import STANDING
from exchange_svc.subscription.domain import State as SubscriptionState
from exchange_svc.subscription.store import Subscription

router = APIRouter(include_in_schema=False)
_pages = renderer("exchange_svc")
_CHINA = timezone(timedelta(hours=8))  # a day is a day in China, one zone all year
_LAST_BATCHES = 20


def day_start(now: datetime) -> datetime:
    """Return when today began in China."""
    return datetime.combine(now.astimezone(_CHINA).date(), time.min, _CHINA)


Condition = ColumnElement[bool]


def _of_a_side(kind: type[SharingRequest | Grant | Dispute], organization_id: UUID | None) -> Condition:
    return true() if organization_id is None else or_(kind.requester_id == organization_id, kind.provider_id == organization_id)


def _pushed(organization_id: UUID | None) -> Condition:
    return true() if organization_id is None else Batch.provider_id == organization_id


def _views(organization_id: UUID | None) -> Condition:
    """Return which views are an organization's: of its resources, and those it reads."""
    if organization_id is None:
        return true()
    own = select(Resource.resource_id).where(Resource.provider_id == organization_id)
    reads = select(Grant.view_id).where(Grant.requester_id == organization_id, Grant.state.in_(IN_FORCE))
    return or_(View.resource_id.in_(own), View.view_id.in_(reads))


async def _rows(tx: AsyncSession, since: datetime | None, is_own: Condition) -> dict[str, int]:
    columns: list[ColumnElement[Any]] = [
        func.coalesce(func.sum(column), 0)
        for column in (Batch.received_count, Batch.accepted_count, Batch.quarantined_count, Batch.rejected_count)
    ]
    query = select(*columns).where(is_own)
    if since is not None:
        query = query.where(Batch.received_at >= since)
    received, accepted, quarantined, rejected = (int(value) for value in (await tx.execute(query)).one())
    return {
        "received": received,
        "accepted": accepted,
        "quarantined": quarantined,
        "rejected": rejected,
        "waiting": received - accepted - quarantined - rejected,
    }


async def _in_flight(tx: AsyncSession, is_own: Condition) -> int:
    """Count what is ordered and not yet recorded as delivered: each open view gets every accepted batch of its resource once."""
    is_open = and_(View.closed_at.is_(None), is_own)
    owed = select(func.coalesce(func.sum(Resource.last_sequence), 0)).join(View, View.resource_id == Resource.resource_id).where(is_open)
    done = select(func.count()).select_from(Delivery).join(View, View.view_id == Delivery.view_id).where(is_open)
    return max(0, int(await tx.scalar(owed) or 0) - (await tx.scalar(done) or 0))


async def _count(tx: AsyncSession, kind: type[Base], *conditions: ColumnElement[bool]) -> int:
    return await tx.scalar(select(func.count()).select_from(kind).where(*conditions)) or 0


async def figures(tx: AsyncSession, now: datetime, *, organization_id: UUID | None) -> dict[str, Any]:
    """Return what the page shows: batches an organization pushed, and what it gave, asked for, holds and owes (all there is when None)."""
    pushed, own_views = _pushed(organization_id), _views(organization_id)
    of_grant = Subscription.grant_id.in_(select(Grant.grant_id).where(_of_a_side(Grant, organization_id)))
    of_case = true() if organization_id is None else or_(Case.organization_id == organization_id, Case.provider_id == organization_id)
    states = await tx.execute(select(Batch.state, func.count()).where(pushed).group_by(Batch.state))
    counted: dict[str, int] = {row[0]: row[1] for row in states}
    live = and_(Grant.state == GrantState.ACTIVE, or_(Grant.use_until.is_(None), Grant.use_until > now))
    owes = true() if organization_id is None else Clock.organization_id == organization_id
    owed = and_(owes, Clock.met_at.is_(None), Clock.stopped_at.is_(None))
    waiting = SharingRequest.state.in_(WAITING)
    delivered = select(func.coalesce(func.sum(Delivery.delivered_count), 0)).join(View, View.view_id == Delivery.view_id)
    name = Resource.snapshot["name"].astext.label("resource_name")
    last = await tx.execute(
        select(Batch, name)
        .join(Resource, Resource.resource_id == Batch.resource_id)
        .where(pushed)
        .order_by(Batch.received_at.desc())
        .limit(_LAST_BATCHES)
    )
    return {
        "states": {state.value: counted.get(state.value, 0) for state in BatchState},
        "today": await _rows(tx, day_start(now), pushed),
        "total": await _rows(tx, None, pushed),
        "requests_waiting": await _count(tx, SharingRequest, waiting, _of_a_side(SharingRequest, organization_id)),
        "grants_active": await _count(tx, Grant, live, _of_a_side(Grant, organization_id)),
        "views_open": await _count(tx, View, View.closed_at.is_(None), own_views),
        "in_flight": await _in_flight(tx, own_views),
        "clocks_owed": await _count(tx, Clock, owed),
        "clocks_missed": await _count(tx, Clock, owed, Clock.paused_on.is_(None), Clock.missed_at <= now),
        "disputes_open": await _count(tx, Dispute, Dispute.state == DisputeState.OPEN, _of_a_side(Dispute, organization_id)),
        "subscriptions_active": await _count(tx, Subscription, of_grant, Subscription.state == SubscriptionState.ACTIVE),
        "subscriptions_at_rest": await _count(tx, Subscription, of_grant, Subscription.state.in_(STANDING)),
        "cases_open": await _count(tx, Case, of_case, Case.state == CaseState.OPEN),
        "delivered": int(await tx.scalar(delivered.where(own_views)) or 0),
        "last": [(row[0], row[1]) for row in last],
    }


@router.get("/dashboard")
async def show(request: Request, who: DashboardAccess, tx: Tx) -> HTMLResponse:
    """Show how the exchange stands."""
    return _pages.page(request, "exchange.html", tabs=words.TABS, **await figures(tx, utc_now(), organization_id=own_only(who)))
