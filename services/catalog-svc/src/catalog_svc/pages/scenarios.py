"""What a scenario authorizes, and who approves it: shown on its entry's page, approved there and taken back."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.pages import lists, view
from catalog_svc.pages.access import Posted, Sent
from catalog_svc.pages.fields import Form, refusals
from catalog_svc.sharing_list import approving, store
from catalog_svc.sharing_list.domain import KeptKind
from dxmesh_runtime.db import Tx, utc_now

router = APIRouter(include_in_schema=False, prefix="/lists/scenario")
_Decision = Callable[..., Awaitable[store.ListEntry]]


@router.post("/{entry_id}/approval")
async def approve(request: Request, entry_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Approve a scenario as the page showed it: the data authority, or the CDO of a department that provides its data."""
    return await _decide(request, tx, entry_id, sent, "approve", approving.approve)


@router.post("/{entry_id}/revocation")
async def revoke(request: Request, entry_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Take the reader's approval back; the scenario grants nothing more from then on."""
    return await _decide(request, tx, entry_id, sent, "revoke", approving.revoke)


async def _decide(request: Request, tx: AsyncSession, entry_id: UUID, sent: Posted, name: str, decision: _Decision) -> Response:
    form = Form(name, sent.values)
    async with refusals(tx, form):
        await decision(tx, entry_id, by=sent.who, versions=sent.revisions, now=utc_now())
        return view.done(f"/dashboard/lists/scenario/{entry_id}")
    return await lists.show(request, tx, KeptKind.SCENARIO, entry_id, sent.who, refused=form)
