"""HTTP of reconciliation: this node's account of a window, holding one's own against it, cases, and late feeds."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.auth import Overseer, Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OrganizationRef, UpdateCycle
from dxmesh_schemas.exchange_reconciliation import Account, Difference
from dxmesh_schemas.text import Reason
from exchange_svc.access import whose
from exchange_svc.catalog.errors import ResourceNotFound
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.reconciliation import commands, store
from exchange_svc.reconciliation.domain import MOST_BATCHES, CaseState, Entry, Side, account
from exchange_svc.reconciliation.errors import CaseNotFound, CaseSettled, WindowInvalid

router = APIRouter(prefix="/v1", tags=["reconciliation"])
Since = Annotated[AwareDatetime, Query(description="the window's beginning, with its offset")]
Until = Annotated[AwareDatetime, Query(description="its end, which is not in it any more")]


class EntryIn(BaseModel):
    """One batch of an account."""

    model_config = ConfigDict(extra="forbid")
    batch_id: UUID
    row_count: int = Field(ge=0, le=2**53)
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the pushed file; of the delivery, in a requester's account")


class AccountIn(BaseModel):
    """What one has of a window."""

    model_config = ConfigDict(extra="forbid")
    since: AwareDatetime
    until: AwareDatetime
    batches: list[EntryIn] = Field(max_length=MOST_BATCHES)

    def entries(self) -> list[Entry]:
        """Return the batches as they are compared."""
        return [Entry(**one.model_dump()) for one in self.batches]


class BookOut(BaseModel):
    """What this node has of a window."""

    since: datetime
    until: datetime
    account: Account
    batches: list[Entry]


class OutcomeOut(BaseModel):
    """What came of holding an account against this node's."""

    model_config = ConfigDict(from_attributes=True)
    told: Account
    held: Account
    difference_count: int
    differences: list[Difference] = Field(description="the first thousand")
    case_id: UUID | None = Field(description="of the case that is open about them")


class CaseOut(BaseModel):
    """A window about which an account and this node differ, or differed."""

    model_config = ConfigDict(from_attributes=True)
    case_id: UUID
    side: Side
    resource_id: UUID
    grant_id: UUID | None
    organization: OrganizationRef
    provider_id: UUID
    since: datetime
    until: datetime
    told: Account
    held: Account
    difference_count: int
    differences: list[Difference]
    state: CaseState
    opened_at: datetime
    settled_at: datetime | None
    settled_by: str | None
    explanation: str | None


class SettlementIn(BaseModel):
    """What the difference comes from, and what was done about it."""

    model_config = ConfigDict(extra="forbid")
    explanation: Reason


class LateOut(BaseModel):
    """A feed that is behind its update cycle."""

    resource_id: UUID
    name: str
    provider: OrganizationRef
    update_cycle: UpdateCycle
    last_accepted_at: datetime | None = Field(description="null when no batch was ever accepted")
    due_on: date = Field(description="the last day in time, in China")
    late_days: int


def _book(book: commands.Book) -> BookOut:
    batches = sorted(book.entries, key=lambda one: str(one.batch_id))
    return BookOut(since=book.since, until=book.until, account=account(batches), batches=batches)


@router.get("/resources/{resource_id}/reconciliation", responses=problems(ResourceNotFound, WindowInvalid))
async def show_received(resource_id: UUID, since: Since, until: Until, who: Who, tx: Tx) -> BookOut:
    """Return what this node got of a resource in a window, to its provider and the authority."""
    return _book(await commands.received(tx, resource_id, since, until, who=who, now=utc_now()))


@router.post("/resources/{resource_id}/reconciliation", response_model=OutcomeOut, responses=problems(ResourceNotFound, WindowInvalid))
async def reconcile_received(resource_id: UUID, body: AccountIn, who: Steward, tx: Tx) -> commands.Outcome:
    """Hold what was sent in a window against what this node got, as the provider; a difference opens a case."""
    book = await commands.received(tx, resource_id, body.since, body.until, who=who, now=utc_now())
    return await commands.reconcile(tx, book, body.entries(), by=who, now=utc_now())


@router.get("/grants/{grant_id}/reconciliation", responses=problems(GrantNotFound, WindowInvalid))
async def show_delivered(grant_id: UUID, since: Since, until: Until, who: Who, tx: Tx) -> BookOut:
    """Return what was delivered by a grant in a window, to its requester, its provider and the authority."""
    return _book(await commands.delivered(tx, grant_id, since, until, who=who, now=utc_now()))


@router.post("/grants/{grant_id}/reconciliation", response_model=OutcomeOut, responses=problems(GrantNotFound, WindowInvalid))
async def reconcile_delivered(grant_id: UUID, body: AccountIn, who: Steward, tx: Tx) -> commands.Outcome:
    """Hold what was got in a window against what was delivered, as the requester; a difference opens a case."""
    book = await commands.delivered(tx, grant_id, body.since, body.until, who=who, now=utc_now())
    return await commands.reconcile(tx, book, body.entries(), by=who, now=utc_now())


@router.get("/reconciliation-cases", response_model=Page[CaseOut], responses=problems(CursorInvalid))
async def list_cases(who: Who, tx: Tx, state: CaseState | None = None, limit: Limit = 100, cursor: CursorText = None) -> Slice[store.Case]:
    """List cases that concern the caller's organization, newest first."""
    rows = await store.list_cases(tx, organization_id=whose(who), state=state, limit=limit + 1, after=after_time(cursor))
    return cut(rows, limit, lambda row: (row.opened_at, row.case_id))


@router.get("/reconciliation-cases/{case_id}", response_model=CaseOut, responses=problems(CaseNotFound))
async def get_case(case_id: UUID, who: Who, tx: Tx) -> store.Case:
    """Return a case to those it concerns."""
    return await commands.get_visible(tx, case_id, who)


@router.post(
    "/reconciliation-cases/{case_id}/settlement", status_code=201, response_model=CaseOut, responses=problems(CaseNotFound, CaseSettled)
)
async def settle(case_id: UUID, body: SettlementIn, who: Overseer, tx: Tx) -> store.Case:
    """Settle a case by an explanation, as its provider or the data authority."""
    return await commands.settle(tx, case_id, explanation=body.explanation, by=who, now=utc_now())


@router.get("/reports/late-feeds", responses=problems(CursorInvalid))
async def list_late(who: Who, tx: Tx, limit: Limit = 100, cursor: CursorText = None) -> Page[LateOut]:
    """List feeds behind their update cycle, the longest behind first: the caller's own, or all to the authority."""
    today = day_of(utc_now())
    rows = await store.list_late(tx, provider_id=whose(who), today=today, after=after_time(cursor), limit=limit + 1)
    page = cut(rows, limit, lambda row: (row[6], row[0]))
    items = [
        LateOut(
            resource_id=row[0],
            name=row[1],
            provider=OrganizationRef.model_validate(row[2]),
            update_cycle=UpdateCycle(row[3]),
            last_accepted_at=row[4],
            due_on=row[5],
            late_days=(today - row[5]).days,
        )
        for row in page.items
    ]
    return Page(items=items, next_cursor=page.next_cursor)
