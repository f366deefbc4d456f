"""The operator's page: batches, rows, requests, grants, deliveries in flight."""

from datetime import datetime, time, timedelta, timezone
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.shell import DashboardAccess, renderer
from exchange_svc.batch.domain import State as BatchState
from exchange_svc.batch.store import Batch
from exchange_svc.catalog.store import Resource
from exchange_svc.delivery.store import Delivery
from exchange_svc.grant.domain import State as GrantState
from exchange_svc.grant.store import Grant, View
from exchange_svc.request.domain import State as RequestState
from exchange_svc.request.store import SharingRequest

router = APIRouter(include_in_schema=False)
_pages = renderer("exchange_svc")
_CHINA = timezone(timedelta(hours=8))  # a day is a day in China, one zone all year
_LAST_BATCHES = 20


def day_start(now: datetime) -> datetime:
    """Return when today began in China."""
    return datetime.combine(now.astimezone(_CHINA).date(), time.min, _CHINA)


async def _rows(tx: AsyncSession, since: datetime | None) -> dict[str, int]:
    columns: list[ColumnElement[Any]] = [
        func.coalesce(func.sum(column), 0)
        for column in (Batch.received_count, Batch.accepted_count, Batch.quarantined_count, Batch.rejected_count)
    ]
    query = select(*columns)
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


async def _in_flight(tx: AsyncSession) -> int:
    """Count what is ordered and not yet recorded as delivered: each open view gets every accepted batch of its resource once."""
    is_open = View.closed_at.is_(None)
    owed = select(func.coalesce(func.sum(Resource.last_sequence), 0)).join(View, View.resource_id == Resource.resource_id).where(is_open)
    done = select(func.count()).select_from(Delivery).join(View, View.view_id == Delivery.view_id).where(is_open)
    return max(0, int(await tx.scalar(owed) or 0) - (await tx.scalar(done) or 0))


async def figures(tx: AsyncSession, now: datetime) -> dict[str, Any]:
    """Return what the page shows."""
    states = await tx.execute(select(Batch.state, func.count()).group_by(Batch.state))
    counted: dict[str, int] = {row[0]: row[1] for row in states}
    live = and_(Grant.state == GrantState.ACTIVE, or_(Grant.use_until.is_(None), Grant.use_until > now))
    waiting = SharingRequest.state == RequestState.UNDER_REVIEW
    name = Resource.snapshot["name"].astext.label("resource_name")
    last = await tx.execute(
        select(Batch, name)
        .join(Resource, Resource.resource_id == Batch.resource_id)
        .order_by(Batch.received_at.desc())
        .limit(_LAST_BATCHES)
    )
    return {
        "states": {state.value: counted.get(state.value, 0) for state in BatchState},
        "today": await _rows(tx, day_start(now)),
        "total": await _rows(tx, None),
        "requests_waiting": await tx.scalar(select(func.count()).select_from(SharingRequest).where(waiting)) or 0,
        "grants_active": await tx.scalar(select(func.count()).select_from(Grant).where(live)) or 0,
        "views_open": await tx.scalar(select(func.count()).select_from(View).where(View.closed_at.is_(None))) or 0,
        "in_flight": await _in_flight(tx),
        "delivered": int(await tx.scalar(select(func.coalesce(func.sum(Delivery.delivered_count), 0))) or 0),
        "last": [(row[0], row[1]) for row in last],
    }


@router.get("/dashboard")
async def show(request: Request, _: DashboardAccess, tx: Tx) -> HTMLResponse:
    """Show how the exchange stands."""
    return _pages.page(request, "exchange.html", **await figures(tx, utc_now()))
