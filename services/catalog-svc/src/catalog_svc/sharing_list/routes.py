"""Lists over HTTP: read page by page, and entries of the four kept lists entered and changed."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict

from catalog_svc.etag import IfCounted
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.sharing_list import approving, commands, shown, store
from catalog_svc.sharing_list.domain import TITLES, EntryChange, Forbids, KeptKind, ListKind, Status
from catalog_svc.sharing_list.errors import ListEntryInvalid, ListEntryNotFound, ListEntryPassed, ListEntryTaken, ScenarioNotApprovable
from dxmesh_runtime.auth import Principal, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, after_number, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OpenType, SharingType, SystemKind, SystemState, UpdateCycle
from dxmesh_schemas.catalog_attributes import NonSharingBasis
from dxmesh_schemas.catalog_lists import ScenarioApproval, ScenarioTerms
from dxmesh_schemas.problem import Forbidden, Invalid
from dxmesh_schemas.text import Search

router = APIRouter(prefix="/v1/lists", tags=["lists"], dependencies=[Depends(json_body)])
_READS_ALL = ("authority", "operator", "auditor")


Of = Annotated[UUID | None, Query(description="organization id of the owner")]
Words = Annotated[Search | None, Query()]


class EntryIn(EntryChange):
    """An entry to enter; the data authority names its owner, a steward's is its own organization."""

    organization_id: UUID | None = None


class EntryOut(BaseModel):
    """An entry of the demand, duty, negative or scenario list; `version` is its ETag."""

    model_config = ConfigDict(from_attributes=True)
    entry_id: UUID
    kind: KeptKind
    organization_id: UUID
    name: str
    content: str
    status: Status
    due_on: date | None
    counterpart_id: UUID | None
    resource_id: UUID | None
    items: list[str]
    system_id: UUID | None
    basis: NonSharingBasis | None
    forbids: Forbids | None
    scenario: ScenarioTerms | None
    approvals: list[ScenarioApproval]
    version: int
    created_at: datetime
    changed_at: datetime
    changed_by: str


class EntryVersionOut(BaseModel):
    """What an entry was at one version."""

    model_config = ConfigDict(from_attributes=True)
    version: int
    snapshot: dict[str, Any]
    changed_at: datetime
    changed_by: str


class SystemListed(BaseModel):
    """A system as the system list shows it."""

    system_id: UUID
    organization_id: UUID
    owner_uscc: str
    owner_name: str
    name: str
    kind: SystemKind
    state: SystemState
    on_gov_cloud: bool | None
    is_main_system: bool
    sector: str | None
    resource_count: int
    registered_at: datetime


class ResourceListed(BaseModel):
    """A data resource as the data list shows it."""

    resource_id: UUID
    organization_id: UUID
    resource_code: str
    name: str
    provider_uscc: str
    provider_name: str
    system_name: str
    state: str
    version: int
    sharing_type: SharingType
    open_type: OpenType
    update_cycle: UpdateCycle
    item_count: int
    shareable_item_count: int
    published_at: datetime | None


class ListOut(BaseModel):
    """A list and how many entries it has."""

    kind: ListKind
    title: str
    entry_count: int


def reads_all(who: Principal) -> bool:
    """Say whether the caller sees the systems of every organization."""
    return any(who.has(role) for role in _READS_ALL)


def owner_read(who: Principal, organization_id: UUID | None) -> tuple[UUID | None, bool]:
    """Return whose systems the caller gets when asking for those of an organization (None: all), and whether any at all."""
    of = organization_id if reads_all(who) else who.own_organization
    return of, organization_id in (None, of)


@router.get("")
async def list_lists(_: Who, tx: Tx) -> list[ListOut]:
    """Say which lists there are and how many entries each has."""
    counts = await shown.counts(tx)
    return [ListOut(kind=kind, title=title, entry_count=counts[kind.value]) for kind, title in TITLES.items()]


@router.get("/system", response_model=Page[SystemListed], responses=problems(CursorInvalid))
async def list_systems(
    who: Who, tx: Tx, organization: Of = None, q: Words = None, limit: Limit = 50, cursor: CursorText = None
) -> Slice[dict[str, Any]]:
    """List the systems that are registered: the caller's organization's; the authority, operators and auditors see all."""
    of, any_at_all = owner_read(who, organization)
    if not any_at_all:
        return Slice([], None)
    rows = await shown.page_of_systems(tx, of=of, q=q, after=after_id(cursor), limit=limit)
    return cut(rows, limit, lambda row: row["system_id"])


@router.get("/data", response_model=Page[ResourceListed], responses=problems(CursorInvalid))
async def list_resources(
    who: Who, tx: Tx, organization: Of = None, q: Words = None, limit: Limit = 50, cursor: CursorText = None
) -> Slice[dict[str, Any]]:
    """List the data resources that are registered: those in force, and the drafts the caller may see."""
    rows = await shown.page_of_resources(
        tx,
        of=organization,
        drafts_of=who.organization_id,
        all_drafts=who.has("authority"),
        q=q,
        after=after_id(cursor),
        limit=limit,
    )
    return cut(rows, limit, lambda row: row["resource_id"])


@router.post(
    "/{kind}",
    status_code=201,
    response_model=EntryOut,
    responses=problems(*BODY_PROBLEMS, OrganizationNotFound, ListEntryInvalid, ListEntryTaken, Forbidden),
)
async def create(kind: KeptKind, body: EntryIn, who: Who, tx: Tx, response: Response) -> store.ListEntry:
    """Enter an entry of the demand, duty, negative or scenario list."""
    commands.refuse_reader(who)
    owner_id = body.organization_id or who.organization_id
    if owner_id is None:
        raise Invalid.of([("/organization_id", "name the organization that owns the entry; this token has none")])
    if not commands.keeps(who, owner_id):
        raise OrganizationNotFound(f"no organization you act for has the id {owner_id}")
    entry = EntryChange.model_validate(body.model_dump(exclude={"organization_id"}))
    row = await commands.create(tx, kind, owner_id, entry, by=who, now=utc_now())
    response.headers["ETag"] = f'"{row.version}"'
    response.headers["Location"] = f"/v1/lists/{kind.value}/{row.entry_id}"
    return row


@router.get("/{kind}", response_model=Page[EntryOut], responses=problems(CursorInvalid))
async def list_entries(
    kind: KeptKind,
    _: Who,
    tx: Tx,
    organization: Of = None,
    status: Annotated[Status | None, Query()] = None,
    resource: Annotated[UUID | None, Query(description="resource id it refers to")] = None,
    due_by: Annotated[date | None, Query(description="due on this day or before")] = None,
    overdue_on: Annotated[date | None, Query(description="not ended, and due before this day")] = None,
    q: Words = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Slice[store.ListEntry]:
    """List the entries of a kept list in the order they were entered; every department may read them."""
    asked = store.Asked(organization, status, due_by, overdue_on, resource, q)
    return cut(await store.list_page(tx, kind, asked, after=after_id(cursor), limit=limit), limit, lambda row: row.entry_id)


@router.get("/{kind}/{entry_id}", response_model=EntryOut, responses=problems(ListEntryNotFound))
async def get_entry(kind: KeptKind, entry_id: UUID, _: Who, tx: Tx, response: Response) -> store.ListEntry:
    """Return an entry; its ETag goes into If-Match of the next change."""
    row = await store.get(tx, kind, entry_id)
    response.headers["ETag"] = f'"{row.version}"'
    return row


@router.put(
    "/{kind}/{entry_id}",
    response_model=EntryOut,
    responses=problems(*BODY_PROBLEMS, ListEntryNotFound, ListEntryInvalid, ListEntryTaken, ListEntryPassed, Forbidden),
)
async def change(
    kind: KeptKind, entry_id: UUID, body: EntryChange, who: Who, versions: IfCounted, tx: Tx, response: Response
) -> store.ListEntry:
    """Change an entry, keeping what it was; with If-Match only the version that was read."""
    row = await commands.change(tx, kind, entry_id, body, by=who, versions=versions, now=utc_now())
    response.headers["ETag"] = f'"{row.version}"'
    return row


@router.put(
    "/scenario/{entry_id}/approval",
    response_model=EntryOut,
    responses=problems(ListEntryNotFound, ListEntryPassed, ScenarioNotApprovable, Forbidden),
)
async def approve(entry_id: UUID, who: Who, versions: IfCounted, tx: Tx, response: Response) -> store.ListEntry:
    """Approve a scenario as it stands: the data authority, or a department's CDO for the conditional resources it provides."""
    row = await approving.approve(tx, entry_id, by=who, versions=versions, now=utc_now())
    response.headers["ETag"] = f'"{row.version}"'
    return row


@router.delete("/scenario/{entry_id}/approval", response_model=EntryOut, responses=problems(ListEntryNotFound, ListEntryPassed, Forbidden))
async def revoke(entry_id: UUID, who: Who, versions: IfCounted, tx: Tx, response: Response) -> store.ListEntry:
    """Take the caller's approval of a scenario back: it grants nothing more from then on."""
    row = await approving.revoke(tx, entry_id, by=who, versions=versions, now=utc_now())
    response.headers["ETag"] = f'"{row.version}"'
    return row


@router.get("/{kind}/{entry_id}/versions", response_model=Page[EntryVersionOut], responses=problems(ListEntryNotFound, CursorInvalid))
async def list_versions(
    kind: KeptKind, entry_id: UUID, _: Who, tx: Tx, limit: Limit = 50, cursor: CursorText = None
) -> Slice[store.ListEntryVersion]:
    """List what an entry was, oldest first."""
    await store.get(tx, kind, entry_id)
    return cut(await store.list_versions(tx, entry_id, after=after_number(cursor), limit=limit), limit, lambda row: row.version)
