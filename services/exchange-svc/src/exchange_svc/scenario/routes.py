"""HTTP of the grants that scenarios gave, and of those whose scenario authorizes no more."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_lists import ScenarioApproval
from dxmesh_schemas.text import Name, Reason
from exchange_svc.access import whose
from exchange_svc.grant.domain import State
from exchange_svc.grant.store import Grant
from exchange_svc.scenario import commands, store
from exchange_svc.scenario.errors import ScenarioGrantNotFound, ScenarioGrantStands

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
    confirmed_at: datetime | None = Field(description="when its provider said that it goes on without that ground")
    confirmed_by: str | None
    confirmation_reason: str | None


class ConfirmationIn(BaseModel):
    """Why a grant goes on whose scenario authorizes no more, approved by the head of its provider."""

    model_config = ConfigDict(extra="forbid")
    approved_by: Name
    reason: Reason


@router.get("", response_model=Page[ScenarioGrantOut], responses=problems(CursorInvalid))
async def list_scenario_grants(
    who: Who, tx: Tx, lapsed: bool | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Slice[dict[str, Any]]:
    """List the grants that scenarios gave to or of the caller's organization, newest first; `lapsed`: that lost this ground
    and were not confirmed yet, or the others.

    A lapsed one goes on until its provider suspends or ends it, or its time is over (GDSR Art. 27); the provider may confirm it.
    """
    rows = await store.list_given(tx, organization_id=whose(who), is_lapsed=lapsed, limit=limit + 1, after=after_time(cursor))
    page = cut(rows, limit, lambda row: (row[0].granted_at, row[0].grant_id))
    now = utc_now()
    return Slice([_shown(row, grant, now) for row, grant in page.items], page.next_cursor)


@router.post("/{grant_id}/confirmation", status_code=201, responses=problems(ScenarioGrantNotFound, ScenarioGrantStands))
async def confirm(grant_id: UUID, body: ConfirmationIn, who: Steward, tx: Tx) -> ScenarioGrantOut:
    """Let a grant go on whose scenario authorizes no more, as its provider."""
    now = utc_now()
    row, grant = await commands.confirm(tx, grant_id, approved_by=body.approved_by, reason=body.reason, by=who, now=now)
    return ScenarioGrantOut(**_shown(row, grant, now))


def _shown(row: store.ScenarioGrant, grant: Grant, now: datetime) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in ScenarioGrantOut.model_fields if name not in ("state", "requester")}
    return own | {"state": grant.state_at(now), "requester": grant.requester_ref}
