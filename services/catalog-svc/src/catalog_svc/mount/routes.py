"""Mounts over HTTP, and the mount rate."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from catalog_svc.etag import EntryPassed, IfMatch
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.mount import commands, domain, store
from catalog_svc.mount.domain import MAX_ADDRESS, MountKind, MountState, MountStep
from catalog_svc.mount.errors import MountInvalid, NotMountable, NotMounted
from catalog_svc.resource.errors import ResourceNotFound
from dxmesh_runtime.auth import Authority, Principal, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Reason

router = APIRouter(prefix="/v1", tags=["mounts"], dependencies=[Depends(json_body)])


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MountIn(_In):
    """How a resource's data are reached."""

    kind: MountKind
    address: Annotated[
        Annotated[str, StringConstraints(max_length=MAX_ADDRESS)] | None,
        Field(description="of a proxy: where the service interface is; without any credential"),
    ] = None


class ConfirmationIn(_In):
    """What was called, and what it answered."""

    evidence: Reason


class RemovalIn(_In):
    """Why the mount is taken away."""

    reason: Reason


class MountStepOut(BaseModel):
    """What happened to a mount."""

    step: MountStep
    kind: MountKind
    by: str
    reason: str | None
    at: datetime


class MountHead(BaseModel):
    """How a published resource's data are reached, and what shows that they come."""

    resource_id: UUID
    resource_code: str
    name: str
    organization_id: UUID
    organization_name: str
    state: MountState
    kind: MountKind | None
    address: Annotated[str | None, Field(description="of a proxy; seen by its provider, the authority, operators and auditors")]
    mounted_at: datetime | None
    mounted_by: str | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    batch_count: Annotated[int, Field(description="accepted batches")]
    first_accepted_at: datetime | None
    accepted_at: Annotated[datetime | None, Field(description="when the newest batch was accepted")]


class MountOut(MountHead):
    """A resource's mount with what happened to it."""

    steps: list[MountStepOut]


class Rate(BaseModel):
    """挂接率: the resources in force whose data demonstrably come, of all in force."""

    published_count: int
    mounted_count: Annotated[int, Field(description="declared or supplied")]
    supplied_count: int
    supplied_replica_count: int
    supplied_proxy_count: int
    mount_ratio: Annotated[float | None, Field(description="supplied / published; null when nothing is published")]


class OrganizationRate(Rate):
    """The mount rate of an organization."""

    organization_id: UUID
    organization_name: str


class RateReport(BaseModel):
    """The mount rate of all the caller sees, and by organization."""

    as_of: datetime
    total: Rate
    organizations: list[OrganizationRate]


def _head(row: store.Entry, who: Principal) -> dict[str, Any]:
    resource, organization, mount, arrival = row
    kind = MountKind(mount.kind) if mount is not None else None
    confirmed = mount is not None and mount.confirmed_at is not None
    shows = mount is not None and commands.sees_address(who, resource.organization_id)
    return {
        "resource_id": resource.resource_id,
        "resource_code": resource.resource_code,
        "name": resource.name,
        "organization_id": organization.organization_id,
        "organization_name": organization.name,
        "state": domain.state(kind, has_batch=arrival is not None, is_confirmed=confirmed),
        "kind": kind,
        "address": mount.address if mount is not None and shows else None,
        "mounted_at": mount.mounted_at if mount is not None else None,
        "mounted_by": mount.mounted_by if mount is not None else None,
        "confirmed_at": mount.confirmed_at if mount is not None else None,
        "confirmed_by": mount.confirmed_by if mount is not None else None,
        "batch_count": arrival.batch_count if arrival is not None else 0,
        "first_accepted_at": arrival.first_accepted_at if arrival is not None else None,
        "accepted_at": arrival.accepted_at if arrival is not None else None,
    }


async def _out(tx: Tx, resource_id: UUID, who: Principal, response: Response) -> MountOut:
    response.headers["ETag"] = await commands.etag(tx, resource_id)
    steps = [
        MountStepOut(step=MountStep(row.step), kind=MountKind(row.kind), by=row.by, reason=row.reason, at=row.at)
        for row in await store.list_steps(tx, resource_id)
    ]
    return MountOut(**_head(await store.entry(tx, resource_id), who), steps=steps)


@router.get("/resources/{resource_id}/mount", responses=problems(ResourceNotFound))
async def get_mount(resource_id: UUID, who: Who, tx: Tx, response: Response) -> MountOut:
    """Return how a resource's data are reached; the ETag, given also where nothing is mounted, goes into If-Match of the next change."""
    await commands.get_visible(tx, resource_id, by=who)
    return await _out(tx, resource_id, who, response)


@router.put(
    "/resources/{resource_id}/mount",
    responses=problems(*BODY_PROBLEMS, ResourceNotFound, EntryPassed, MountInvalid, NotMountable, Forbidden),
)
async def mount(resource_id: UUID, body: MountIn, who: Who, if_match: IfMatch, tx: Tx, response: Response) -> MountOut:
    """Mount a published resource: as a replica that batches are sent of, or by proxy to a service interface of its provider.

    With If-Match only as it was read.
    """
    await commands.mount(tx, resource_id, kind=body.kind, address=body.address, by=who, now=utc_now(), if_match=if_match)
    return await _out(tx, resource_id, who, response)


@router.post(
    "/resources/{resource_id}/mount/confirmation",
    responses=problems(*BODY_PROBLEMS, ResourceNotFound, EntryPassed, NotMountable, NotMounted, Forbidden),
)
async def confirm(resource_id: UUID, body: ConfirmationIn, who: Authority, if_match: IfMatch, tx: Tx, response: Response) -> MountOut:
    """Confirm that a proxy's interface answers (the data authority); with If-Match only the one that was read."""
    await commands.confirm(tx, resource_id, evidence=body.evidence, by=who, now=utc_now(), if_match=if_match)
    return await _out(tx, resource_id, who, response)


@router.post(
    "/resources/{resource_id}/mount/removal", responses=problems(*BODY_PROBLEMS, ResourceNotFound, EntryPassed, NotMounted, Forbidden)
)
async def remove(resource_id: UUID, body: RemovalIn, who: Who, if_match: IfMatch, tx: Tx, response: Response) -> MountOut:
    """Take a mount away, with the reason; with If-Match only the one that was read."""
    await commands.remove(tx, resource_id, reason=body.reason, by=who, now=utc_now(), if_match=if_match)
    return await _out(tx, resource_id, who, response)


@router.get("/mounts", responses=problems(CursorInvalid, Forbidden))
async def list_mounts(
    who: Who,
    tx: Tx,
    state: Annotated[MountState | None, Query(description="`unmounted` lists what is catalogued and nothing more")] = None,
    kind: Annotated[MountKind | None, Query()] = None,
    organization: Annotated[UUID | None, Query(description="organization id")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[MountHead]:
    """List the resources in force and how their data are reached; a department sees its own."""
    of = commands.reads_of(who)
    if of is not None and organization not in (None, of):
        return Page(items=[], next_cursor=None)
    rows = await store.list_page(tx, of=of or organization, kind=kind, state=state, after=after_id(cursor), limit=limit)
    page = cut(rows, limit, lambda row: row[0].resource_id)
    return Page(items=[MountHead(**_head(row, who)) for row in page.items], next_cursor=page.next_cursor)


@router.get("/mounts/rate", responses=problems(Forbidden))
async def rate(who: Who, tx: Tx) -> RateReport:
    """Return the mount rate, by organization; a department sees its own."""
    rows = await store.rates(tx, of=commands.reads_of(who))
    organizations = [OrganizationRate(organization_id=row[0], organization_name=row[1], **_counts(*row[2:])) for row in rows]
    published, mounted, supplied, replicas = (
        sum(getattr(rate, name) for rate in organizations)
        for name in ("published_count", "mounted_count", "supplied_count", "supplied_replica_count")
    )
    return RateReport(as_of=utc_now(), total=Rate(**_counts(published, mounted, supplied, replicas)), organizations=organizations)


def _counts(published: int, mounted: int, supplied: int, replicas: int) -> dict[str, Any]:
    return {
        "published_count": published,
        "mounted_count": mounted,
        "supplied_count": supplied,
        "supplied_replica_count": replicas,
        "supplied_proxy_count": supplied - replicas,
        "mount_ratio": round(supplied / published, 4) if published else None,
    }
