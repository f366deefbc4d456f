"""HTTP of the grants that scenarios gave, and of those whose scenario authorizes no more."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_lists import ScenarioApproval
from exchange_svc.access import sees_all
from exchange_svc.grant.domain import State
from exchange_svc.grant.store import Grant
from exchange_svc.scenario import store

router = APIRouter(prefix="/v1/scenario-grants", tags=["scenarios"])


class ScenarioGrantOut(BaseModel):
    """A grant that a scenario gave: what it rests on, and since when it does so no more."""

    grant_id: UUID
    state: State
    resource_id: UUID
    requester: OrganizationRef
    provider_id: UUID
    scenario_id: UUID
    scenario: str
    revision: int
    approvals: list[ScenarioApproval]
    granted_at: datetime
    lapsed_at: datetime | None
    lapse_reason: str | None


@router.get("", response_model=Page[ScenarioGrantOut], responses=problems(CursorInvalid))
async def list_scenario_grants(
    who: Who, tx: Tx, lapsed: bool | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Slice[dict[str, Any]]:
    """List the grants that scenarios gave to or of the caller's organization, newest first; `lapsed`: without that ground, or with it.

    A lapsed one goes on until its provider suspends or ends it, or its time is over (GDSR Art. 27).
    """
    organization_id = None if sees_all(who) else who.own_organization
    rows = await store.list_given(tx, organization_id=organization_id, is_lapsed=lapsed, limit=limit + 1, after=after_time(cursor))
    page = cut(rows, limit, lambda row: (row[0].granted_at, row[0].grant_id))
    now = utc_now()
    return Slice([_shown(row, grant, now) for row, grant in page.items], page.next_cursor)


def _shown(row: store.ScenarioGrant, grant: Grant, now: datetime) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in ScenarioGrantOut.model_fields if name not in ("state", "requester")}
    return own | {"state": grant.state_at(now), "requester": grant.requester_ref}
