"""What is done to packages: asked for, scheduled, noted as made, given out with a receipt, removed."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.exchange import ObjectRef
from dxmesh_schemas.exchange_subscriptions import PackageDownloaded, PackageMade
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.grant import domain as grants
from exchange_svc.grant import store as grant_store
from exchange_svc.grant.pull import Readable
from exchange_svc.grant.store import Grant
from exchange_svc.lag import store as lag
from exchange_svc.package import domain, store
from exchange_svc.package.domain import State
from exchange_svc.package.errors import PackageNotFound, PackageWaiting
from exchange_svc.package.store import Package
from exchange_svc.subscription import commands as subscriptions
from exchange_svc.subscription.domain import Place
from exchange_svc.subscription.errors import SubscriptionState
from exchange_svc.subscription.store import Subscription


async def ask(tx: AsyncSession, grant_id: UUID, subscription_id: UUID, *, by: Principal, now: datetime) -> Package:
    """Have a package made of what the grant reads now.

    Raises: GrantNotFound, SubscriptionNotFound (404), GrantOver, GrantIsSuspended (403), SubscriptionState, PackageWaiting (409).
    """
    row, grant = await subscriptions.get_own(tx, grant_id, subscription_id, by)
    subscriptions.check_readable(grant, now=now)
    if row.mode != Mode.FILE or row.state != "active":
        raise SubscriptionState(f"the subscription is {row.state} and of mode {row.mode}; packages are made of an active one of mode file")
    if await store.has_waiting(tx, subscription_id):
        raise PackageWaiting("a package of this subscription is being made; fetch that one")
    return await _add(tx, row, now)


async def schedule(tx: AsyncSession, *, now: datetime) -> int:
    """Have the packages made that are due by their schedules; return how many."""
    due = [row for row, last in await store.list_scheduled(tx) if domain.is_due(row.settings["every_hours"], last, now)]
    for row in due:
        await _add(tx, row, now)
    return len(due)


async def _add(tx: AsyncSession, row: Subscription, now: datetime) -> Package:
    package = Package(
        package_id=uuid7(),
        subscription_id=row.subscription_id,
        grant_id=row.grant_id,
        state=State.WAITING,
        downloads_left=row.settings["downloads"],
        asked_at=now,
    )
    await store.end_oldest(tx, row.subscription_id, keep=domain.MOST_KEPT - 1, now=now)
    tx.add(package)
    await tx.flush()
    return package


async def made(
    tx: AsyncSession,
    package: Package,
    row: Subscription,
    grant: Grant,
    ref: ObjectRef,
    readable: Readable,
    *,
    expires_at: datetime,
    now: datetime,
) -> None:
    """Note that a locked package lies in the store. Emits: exchange.package.made.v1."""
    package.state, package.failure, package.object_key, package.sha256 = State.READY, None, ref.key, ref.sha256
    package.byte_count, package.row_count, package.table_version = ref.byte_count, ref.row_count, readable.version
    package.sequence, package.made_at, package.expires_at = readable.sequence, now, expires_at
    row.row_count, row.delivered_at = row.row_count + ref.row_count, now
    await tx.flush()
    event = PackageMade(
        **_named(package, grant),
        table_version=readable.version,
        row_count=ref.row_count,
        byte_count=ref.byte_count,
        made_at=now,
        expires_at=expires_at,
    )
    await outbox.add(tx, event, now=now)


def term_of(row: Subscription, now: datetime) -> datetime:
    """Return until when a package made now can be fetched."""
    return now + timedelta(hours=row.settings["term_hours"])


async def give_out(tx: AsyncSession, package_id: UUID, *, by: Principal, address: str | None, now: datetime) -> Package:
    """Count a download and keep its receipt; the caller sends the bytes once this is committed.

    Raises: PackageNotFound (404), GrantOver, GrantIsSuspended (403), PackageWaiting (409), PackageGone (410).
    Emits: exchange.package.downloaded.v1.
    """
    package = await store.find_locked(tx, package_id)
    if package is None:
        raise _missing()
    grant, view = await grant_store.get(tx, package.grant_id)
    if by.organization_id != grant.requester_id:
        raise _missing()
    subscriptions.check_readable(grant, now=now)
    grants.check_mode(Mode.FILE, grant.read_terms)
    domain.check_fetchable(State(package.state), expires_at=package.expires_at, downloads_left=package.downloads_left, now=now)
    package.downloads_left -= 1
    await tx.flush()
    receipt = PackageDownloaded(
        **_named(package, grant), by=by.subject, address=address, downloads_left=package.downloads_left, downloaded_at=now
    )
    await outbox.add(tx, receipt, now=now)
    name, sequence = str(package.subscription_id), package.sequence or 0
    await lag.note_read(tx, package.grant_id, Mode.FILE, name, sequence=sequence, place=Place(topic=view.topic), now=now)
    return package


def _missing() -> PackageNotFound:
    return PackageNotFound("there is no such package, or you may not fetch it; links are for the organization that asked")


def _named(package: Package, grant: Grant) -> dict[str, Any]:
    return {
        "package_id": package.package_id,
        "subscription_id": package.subscription_id,
        "grant_id": grant.grant_id,
        "resource_id": grant.resource_id,
        "requester": grant.requester_ref,
        "sha256": package.sha256,
    }
