"""What is done to reconcile: hold an account against the node's, settle a case."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.exchange_reconciliation import Account, Difference, ReconciliationDiffered, ReconciliationSettled
from exchange_svc.access import sees
from exchange_svc.catalog import store as catalog
from exchange_svc.catalog.errors import ResourceNotFound
from exchange_svc.grant import store as grants
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.reconciliation import domain, store
from exchange_svc.reconciliation.domain import CaseState, Entry, Side
from exchange_svc.reconciliation.errors import CaseNotFound, CaseSettled

_MATCHED = "a later account of the window agrees with this node"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; differences: the first of them. case_id: of the case that is open about it."""

    told: Account
    held: Account
    difference_count: int
    differences: tuple[Difference, ...]
    case_id: UUID | None


@dataclass(frozen=True, slots=True)
class Book:
    """What this node has of a window, and whose account is to agree with it."""

    side: Side
    resource_id: UUID
    grant_id: UUID | None
    organization_id: UUID
    provider_id: UUID
    since: datetime
    until: datetime
    entries: Sequence[Entry]


async def received(tx: AsyncSession, resource_id: UUID, since: datetime, until: datetime, *, who: Principal, now: datetime) -> Book:
    """Return what a resource's provider sent in a window. Raises: ResourceNotFound (404), WindowInvalid (422)."""
    domain.check_window(since, until, now)
    resource = await catalog.find_resource(tx, resource_id)
    if resource is None or not sees(who, resource.provider_id):
        raise ResourceNotFound(f"resource {resource_id} is not published on this node, or you may not see its account")
    entries = await store.list_received(tx, resource_id, since, until)
    domain.check_size(len(entries))
    return Book(Side.PROVIDER, resource_id, None, resource.provider_id, resource.provider_id, since, until, entries)


async def delivered(tx: AsyncSession, grant_id: UUID, since: datetime, until: datetime, *, who: Principal, now: datetime) -> Book:
    """Return what was delivered by a grant's view in a window. Raises: GrantNotFound (404), WindowInvalid (422)."""
    domain.check_window(since, until, now)
    grant, view = await grants.get(tx, grant_id)
    if not sees(who, grant.requester_id, grant.provider_id):
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not see its account")
    entries = await store.list_delivered(tx, view.view_id, since, until)
    domain.check_size(len(entries))
    return Book(Side.REQUESTER, grant.resource_id, grant_id, grant.requester_id, grant.provider_id, since, until, entries)


async def reconcile(tx: AsyncSession, book: Book, told: Sequence[Entry], *, by: Principal, now: datetime) -> Outcome:
    """Hold an account against the node's: a difference opens a case, agreement settles the one that was open.

    Raises: ResourceNotFound or GrantNotFound (404) for anyone but the one whose account it is, WindowInvalid (422).
    Emits: exchange.reconciliation.differed.v1 when differences are new or others; .settled.v1 when they are gone.
    Source: 政务数据共享条例 Art. 26.
    """
    if by.own_organization != book.organization_id:
        missing = ResourceNotFound if book.grant_id is None else GrantNotFound
        raise missing("the account is another organization's to tell")
    domain.check_once(told)
    await catalog.get_resource(tx, book.resource_id, lock=True)  # two accounts of one window at once open one case
    found = tuple(domain.differences(told, book.entries))
    theirs, ours = domain.account(told), domain.account(book.entries)
    row = await store.find_open(
        tx, side=book.side, resource_id=book.resource_id, grant_id=book.grant_id, since=book.since, until=book.until
    )
    if not found:
        if row is not None:
            await _settle(tx, row, explanation=_MATCHED, by=by.subject, now=now)
        return Outcome(theirs, ours, 0, (), None)
    kept = found[: domain.MOST_KEPT]
    values = {
        "told": theirs.model_dump(mode="json"),
        "held": ours.model_dump(mode="json"),
        "difference_count": len(found),
        "differences": [one.model_dump(mode="json") for one in kept],
    }
    if row is None:
        organization = (await catalog.get_organization(tx, book.organization_id)).ref()
        row = store.Case(
            case_id=uuid7(),
            side=book.side.value,
            resource_id=book.resource_id,
            grant_id=book.grant_id,
            organization_id=book.organization_id,
            organization=organization.model_dump(mode="json"),
            provider_id=book.provider_id,
            since=book.since,
            until=book.until,
            state=CaseState.OPEN.value,
            opened_at=now,
            **values,
        )
        tx.add(row)
    elif (row.told, row.held) == (values["told"], values["held"]):
        return Outcome(theirs, ours, len(found), kept, row.case_id)
    for name, value in values.items():
        setattr(row, name, value)
    await tx.flush()
    differed = ReconciliationDiffered(
        **row.named, told=theirs, held=ours, difference_count=len(found), differences=kept[:100], found_at=now
    )
    await outbox.add(tx, differed, now=now)
    return Outcome(theirs, ours, len(found), kept, row.case_id)


async def settle(tx: AsyncSession, case_id: UUID, *, explanation: str, by: Principal, now: datetime) -> store.Case:
    """Settle a case by an explanation, as its provider or the data authority.

    Raises: CaseNotFound (404), CaseSettled (409). Emits: exchange.reconciliation.settled.v1.
    """
    row = await store.get(tx, case_id, lock=True)
    if not sees(by, row.provider_id):
        raise CaseNotFound(f"case {case_id} does not exist, or you may not settle it")
    if row.state != CaseState.OPEN:
        raise CaseSettled(f"case {case_id} was settled: {row.explanation}")
    await _settle(tx, row, explanation=explanation, by=by.subject, now=now)
    return row


async def _settle(tx: AsyncSession, row: store.Case, *, explanation: str, by: str, now: datetime) -> None:
    row.state, row.explanation, row.settled_by, row.settled_at = CaseState.SETTLED.value, explanation, by, now
    await tx.flush()
    settled = ReconciliationSettled(**row.named, explanation=explanation, settled_by=by, settled_at=now)
    await outbox.add(tx, settled, now=now)


async def get_visible(tx: AsyncSession, case_id: UUID, who: Principal) -> store.Case:
    """Return a case to whose account it is, the provider or the authority. Raises: CaseNotFound (404)."""
    row = await store.get(tx, case_id)
    if not sees(who, row.organization_id, row.provider_id):
        raise CaseNotFound(f"case {case_id} does not exist, or you may not see it")
    return row
