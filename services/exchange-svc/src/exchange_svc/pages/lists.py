"""The lists: requests, deadlines, disputes, corrections, intake, channels, subscriptions, packages, readers, lag, cases, late feeds."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorText, Slice, after_id, after_time, cut
from dxmesh_runtime.shell import DashboardAccess
from exchange_svc.clock import store as clocks
from exchange_svc.clock.domain import Standing as ClockStanding
from exchange_svc.correction import store as corrections
from exchange_svc.correction.domain import State as CorrectionState
from exchange_svc.dispute import store as disputes
from exchange_svc.dispute.domain import State as DisputeState
from exchange_svc.inventory import store as inventory
from exchange_svc.inventory.domain import State as IntakeState
from exchange_svc.lag import measuring
from exchange_svc.lag import store as lag
from exchange_svc.lag.domain import Standing as LagStanding
from exchange_svc.pages import queries, view, words
from exchange_svc.pages.view import PAGE_ROWS, own_only
from exchange_svc.reader import domain as reader_rules
from exchange_svc.reader import store as readers
from exchange_svc.reconciliation import store as reconciliation
from exchange_svc.reconciliation.domain import CaseState
from exchange_svc.request import store as requests
from exchange_svc.request.domain import State as RequestState
from exchange_svc.subscription.domain import State as SubscriptionState

router = APIRouter(prefix="/dashboard", include_in_schema=False)
_MORE = PAGE_ROWS + 1


@router.get("/requests")
async def show_requests(
    request: Request, who: DashboardAccess, tx: Tx, state: RequestState | Literal[""] = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show requests, newest first, with the last day of their answer."""
    rows = await requests.list_requests(
        tx, organization_id=own_only(who), state=RequestState(state) if state else None, limit=_MORE, after=after_time(cursor)
    )
    found = cut(rows, PAGE_ROWS, lambda row: (row.created_at, row.request_id))
    due = await clocks.answers_of(tx, [row.request_id for row in found.items])
    names = await queries.names_of(tx, resources=[row.resource_id for row in found.items])
    return view.render(request, "requests", found, chosen=state, options=list(words.REQUESTS), due=due, names=names, at=utc_now())


@router.get("/clocks")
async def show_clocks(
    request: Request, who: DashboardAccess, tx: Tx, standing: ClockStanding | Literal["", "owed"] = "owed", cursor: CursorText = None
) -> HTMLResponse:
    """Show what is owed, those due first coming first; `owed`: what is still to be done, nothing: all."""
    now = utc_now()
    rows = await clocks.list_clocks(
        tx,
        organization_id=own_only(who),
        standing=None if standing in ("", "owed") else ClockStanding(standing),
        request_id=None,
        is_owed=True if standing == "owed" else None,
        now=now,
        limit=_MORE,
        after=after_time(cursor),
    )
    found = cut(rows, PAGE_ROWS, lambda row: (row[0].missed_at, row[0].clock_id))
    return view.render(request, "clocks", found, chosen=standing, options=list(words.STANDINGS), at=now, today=day_of(now))


@router.get("/disputes")
async def show_disputes(
    request: Request, who: DashboardAccess, tx: Tx, state: DisputeState | Literal[""] = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show disputes, newest first."""
    rows = await disputes.list_disputes(
        tx, organization_id=own_only(who), state=DisputeState(state) if state else None, limit=_MORE, after=after_time(cursor)
    )
    found = cut(rows, PAGE_ROWS, lambda row: (row.opened_at, row.dispute_id))
    due = await clocks.last_of_disputes(tx, [row.dispute_id for row in found.items])
    names = await queries.names_of(tx, resources=[row.resource_id for row in found.items])
    return view.render(request, "disputes", found, chosen=state, options=list(words.DISPUTES), due=due, names=names)


@router.get("/corrections")
async def show_corrections(
    request: Request, who: DashboardAccess, tx: Tx, state: CorrectionState | Literal[""] = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show correction requests, newest first."""
    rows = await corrections.list_corrections(
        tx, organization_id=own_only(who), state=CorrectionState(state) if state else None, limit=_MORE, after=after_time(cursor)
    )
    found = cut(rows, PAGE_ROWS, lambda row: (row.filed_at, row.correction_id))
    names = await queries.names_of(tx, resources=[row.resource_id for row in found.items])
    return view.render(request, "corrections", found, chosen=state, options=list(words.CORRECTIONS), names=names)


@router.get("/intake")
async def show_intake(
    request: Request, who: DashboardAccess, tx: Tx, state: IntakeState | Literal[""] = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show by which ways rows come: agents' jobs as they reported last, and channels from before the node."""
    wanted = IntakeState(state) if state else None
    rows = await inventory.list_some(tx, own_only(who), kind=None, state=wanted, limit=_MORE, after=after_id(cursor))
    found = cut(rows, PAGE_ROWS, lambda row: row.channel_id)
    resources = [row.resource_id for row in found.items if row.resource_id is not None]
    names = await queries.names_of(tx, organizations=[row.organization_id for row in found.items], resources=resources)
    return view.render(request, "intake", found, chosen=state, options=list(words.INTAKES), names=names)


@router.get("/channels")
async def show_channels(request: Request, who: DashboardAccess, tx: Tx, cursor: CursorText = None) -> HTMLResponse:
    """Show the topics of open views: who reads them, and which batch is on them."""
    rows = await queries.list_channels(tx, organization_id=own_only(who), limit=_MORE, after=after_time(cursor))
    return view.render(request, "channels", cut(rows, PAGE_ROWS, lambda row: (row[0].opened_at, row[0].view_id)))


@router.get("/subscriptions")
async def show_subscriptions(
    request: Request, who: DashboardAccess, tx: Tx, state: SubscriptionState | Literal[""] = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show subscriptions, newest first, with what their destinations did not take."""
    rows = await queries.list_subscriptions(
        tx, organization_id=own_only(who), state=SubscriptionState(state) if state else None, limit=_MORE, after=after_time(cursor)
    )
    found = cut(rows, PAGE_ROWS, lambda row: (row[0].created_at, row[0].subscription_id))
    return view.render(request, "subscriptions", found, chosen=state, options=list(words.SUBSCRIPTIONS))


@router.get("/packages")
async def show_packages(
    request: Request, who: DashboardAccess, tx: Tx, state: Literal["", "waiting", "ready", "deleted"] = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show packages, those asked for last first."""
    rows = await queries.list_packages(tx, organization_id=own_only(who), state=state or None, limit=_MORE, after=after_time(cursor))
    found = cut(rows, PAGE_ROWS, lambda row: (row[0].asked_at, row[0].package_id))
    return view.render(request, "packages", found, chosen=state, options=list(words.PACKAGES))


@router.get("/readers")
async def show_readers(request: Request, who: DashboardAccess, tx: Tx, cursor: CursorText = None) -> HTMLResponse:
    """Show the Kafka users of requesters' systems, newest first, and what they may read."""
    rows = await readers.list_of(tx, organization_id=own_only(who), limit=_MORE, after=after_time(cursor))
    found = cut(rows, PAGE_ROWS, lambda row: (row.created_at, row.reader_id))
    topics = await readers.topics_of(tx, found.items, now=utc_now())
    names = await queries.names_of(tx, organizations=[row.organization_id for row in found.items])
    states = {
        row.reader_id: reader_rules.state_of(revoked=row.revoked_at is not None, may_read=bool(topics[row.reader_id]))
        for row in found.items
    }
    return view.render(request, "readers", found, topics=topics, names=names, states=states)


@router.get("/lag")
async def show_lag(
    request: Request, who: DashboardAccess, tx: Tx, standing: LagStanding | Literal[""] = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show how far subscribers are behind, grant by grant, newest grants first."""
    now, settings = utc_now(), request.state.settings
    rows = await lag.list_held(tx, organization_id=own_only(who), limit=_MORE, after=after_time(cursor), now=now)
    held = cut(rows, PAGE_ROWS, lambda one: (one.grant.activated_at, one.grant.grant_id))
    groups = await measuring.groups_of(settings.kafka, {one.grant.requester_id for one in held.items}, settings.lag)
    measured = await measuring.measure(tx, held.items, groups or {}, settings.lag, now=now)
    lines = [(one, found) for one in held.items for found in measured[one.grant.grant_id] if standing in ("", found.standing)]
    found = Slice(lines, held.next_cursor)
    return view.render(request, "lag", found, chosen=standing, options=list(words.LAGS), at=now, groups_told=groups is not None)


@router.get("/reconciliation")
async def show_reconciliation(
    request: Request, who: DashboardAccess, tx: Tx, state: CaseState | Literal[""] = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show windows about which an account and the node differ, newest first."""
    rows = await reconciliation.list_cases(
        tx, organization_id=own_only(who), state=CaseState(state) if state else None, limit=_MORE, after=after_time(cursor)
    )
    found = cut(rows, PAGE_ROWS, lambda row: (row.opened_at, row.case_id))
    names = await queries.names_of(tx, resources=[row.resource_id for row in found.items])
    return view.render(request, "reconciliation", found, chosen=state, options=list(words.CASES), names=names)


@router.get("/late")
async def show_late(request: Request, who: DashboardAccess, tx: Tx, cursor: CursorText = None) -> HTMLResponse:
    """Show feeds behind their update cycle, the longest behind first."""
    today = day_of(utc_now())
    rows = await reconciliation.list_late(tx, provider_id=own_only(who), today=today, after=after_time(cursor), limit=_MORE)
    return view.render(request, "late", cut(rows, PAGE_ROWS, lambda row: (row[6], row[0])), today=today)
