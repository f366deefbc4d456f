"""HTTP of the inventory: jobs report, channels from before the node are entered and moved, everybody sees their own."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Paragraph, Reason
from exchange_svc.access import sees_all, whose
from exchange_svc.batch.errors import BatchNotFound
from exchange_svc.catalog.errors import OrganizationUnknown, ResourceNotFound
from exchange_svc.inventory import commands, store
from exchange_svc.inventory.domain import Kind, State
from exchange_svc.inventory.errors import ChannelInvalid, ChannelNotFound, ChannelStepIllegal

router = APIRouter(prefix="/v1/channels", tags=["channels"])


class ReportIn(BaseModel):
    """What an agent's job says of itself."""

    kind: Literal["folder", "table"]
    agent: Name
    name: Name
    resource_id: UUID
    state: Literal["working", "failing"]
    detail: Paragraph | None = None
    last_batch_id: UUID | None = None


class ChannelIn(BaseModel):
    """A channel from before the node; only the data authority names another organization than its own."""

    organization_id: UUID | None = None
    name: Name
    transport: Name = Field(description="what it is: FTP, front-end database, message queue, USB disk, …")
    detail: Paragraph | None = None
    reason: Reason


class MoveIn(BaseModel):
    """How far a channel is: into which resource it was consolidated, and why."""

    state: Literal["to_consolidate", "consolidated", "retired"]
    resource_id: UUID | None = None
    reason: Reason


class ChannelOut(BaseModel):
    """A way by which an organization's rows come, or came."""

    model_config = ConfigDict(from_attributes=True)
    channel_id: UUID
    organization_id: UUID
    kind: Kind
    name: str
    transport: str | None
    agent: str | None
    resource_id: UUID | None
    state: State
    is_silent: bool = Field(description="a job that has not reported for a day")
    detail: str | None
    last_batch_id: UUID | None
    seen_at: datetime | None
    entered_at: datetime


class StepOut(BaseModel):
    """A step of a channel that was made by hand."""

    model_config = ConfigDict(from_attributes=True)
    state: State
    resource_id: UUID | None
    reason: str
    by: str
    at: datetime


class ChannelDetailOut(ChannelOut):
    """A channel with every step."""

    steps: list[StepOut]


@router.get("", response_model=Page[ChannelOut], responses=problems(CursorInvalid, Forbidden))
async def list_channels(
    who: Who, tx: Tx, kind: Kind | None = None, state: State | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Slice[store.InventoryChannel]:
    """List the channels of your organization; the data authority sees those of all."""
    rows = await store.list_some(tx, whose(who), kind=kind, state=state, limit=limit + 1, after=after_id(cursor))
    return cut(rows, limit, lambda row: row.channel_id)


@router.post("", status_code=201, response_model=ChannelOut, responses=problems(ChannelNotFound, OrganizationUnknown, Forbidden))
async def enter(body: ChannelIn, who: Who, tx: Tx) -> store.InventoryChannel:
    """Enter a channel from before the node, to be consolidated."""
    if not (who.has("steward") or sees_all(who)):
        raise Forbidden("channels are entered by a steward of the organization or the data authority")
    return await commands.enter(
        tx,
        organization_id=body.organization_id,
        name=body.name,
        transport=body.transport,
        detail=body.detail,
        reason=body.reason,
        by=who,
        now=utc_now(),
    )


@router.get("/{channel_id}", response_model=ChannelDetailOut, responses=problems(ChannelNotFound, Forbidden))
async def get_channel(channel_id: UUID, who: Who, tx: Tx) -> ChannelDetailOut:
    """Return a channel with its steps."""
    row = await store.get(tx, channel_id, whose(who))
    steps = [StepOut.model_validate(step) for step in await store.list_steps(tx, channel_id)]
    return ChannelDetailOut(**ChannelOut.model_validate(row).model_dump(), steps=steps)


@router.put("/{channel_id}/report", response_model=ChannelOut, responses=problems(ChannelNotFound, ResourceNotFound, BatchNotFound))
async def report(channel_id: UUID, body: ReportIn, who: Steward, tx: Tx) -> store.InventoryChannel:
    """Take in what an agent's job says of itself, under an id the agent made."""
    return await commands.report(
        tx,
        channel_id,
        kind=Kind(body.kind),
        name=body.name,
        agent=body.agent,
        resource_id=body.resource_id,
        state=State(body.state),
        detail=body.detail,
        last_batch_id=body.last_batch_id,
        by=who,
        now=utc_now(),
    )


@router.post(
    "/{channel_id}/state",
    status_code=201,
    response_model=ChannelOut,
    responses=problems(ChannelNotFound, ChannelStepIllegal, ChannelInvalid, ResourceNotFound, Forbidden),
)
async def move(channel_id: UUID, body: MoveIn, who: Who, tx: Tx) -> store.InventoryChannel:
    """Say how far the consolidation of a channel from before the node is."""
    if not (who.has("steward") or sees_all(who)):
        raise Forbidden("channels are moved by a steward of the organization or the data authority")
    return await commands.move(
        tx, channel_id, to=State(body.state), resource_id=body.resource_id, reason=body.reason, by=who, now=utc_now()
    )
