"""What only pages ask for: lists across grants that the interface gives one grant at a time."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.paging import newest_first
from exchange_svc.catalog.store import Organization, Resource
from exchange_svc.delivery.store import Delivery
from exchange_svc.grant.domain import IN_FORCE
from exchange_svc.grant.store import Grant, View
from exchange_svc.package.store import Package
from exchange_svc.subscription.domain import State
from exchange_svc.subscription.store import Subscription

After = tuple[datetime, UUID] | None
_NAME = Resource.snapshot["name"].astext


async def list_subscriptions(
    tx: AsyncSession, *, organization_id: UUID | None, state: State | None, limit: int, after: After
) -> Sequence[Row[Subscription, Grant, str]]:
    """Return subscriptions to grants that an organization gave or holds (all of them when None), newest first."""
    query = select(Subscription, Grant, _NAME).join(Grant, Grant.grant_id == Subscription.grant_id)
    query = query.join(Resource, Resource.resource_id == Grant.resource_id)
    if organization_id is not None:
        query = query.where(or_(Grant.requester_id == organization_id, Grant.provider_id == organization_id))
    if state is not None:
        query = query.where(Subscription.state == state)
    return (await tx.execute(newest_first(query, Subscription.created_at, Subscription.subscription_id, limit=limit, after=after))).all()


async def list_packages(
    tx: AsyncSession, *, organization_id: UUID | None, state: str | None, limit: int, after: After
) -> Sequence[Row[Package, Grant, str]]:
    """Return packages of grants that an organization gave or holds (all of them when None), those asked for last first."""
    query = select(Package, Grant, _NAME).join(Grant, Grant.grant_id == Package.grant_id)
    query = query.join(Resource, Resource.resource_id == Grant.resource_id)
    if organization_id is not None:
        query = query.where(or_(Grant.requester_id == organization_id, Grant.provider_id == organization_id))
    if state is not None:
        query = query.where(Package.state == state)
    return (await tx.execute(newest_first(query, Package.asked_at, Package.package_id, limit=limit, after=after))).all()


async def list_channels(
    tx: AsyncSession, *, organization_id: UUID | None, limit: int, after: After
) -> Sequence[Row[View, Resource, int, int, datetime]]:
    """Return the open views of an organization's resources and grants (all of them when None), newest first.

    Each with its grants in force, the last batch on its topic, and when that came there.
    """
    is_of = Grant.view_id == View.view_id
    readers = select(func.count()).select_from(Grant).where(is_of, Grant.state.in_(IN_FORCE)).correlate(View).scalar_subquery()
    newest = select(func.max(Delivery.sequence)).where(Delivery.view_id == View.view_id).correlate(View).scalar_subquery()
    came = select(Delivery.completed_at).where(Delivery.view_id == View.view_id).order_by(Delivery.sequence.desc()).limit(1)
    query = select(View, Resource, readers, func.coalesce(newest, 0), came.correlate(View).scalar_subquery())
    query = query.join(Resource, Resource.resource_id == View.resource_id).where(View.closed_at.is_(None))
    if organization_id is not None:
        holds = select(Grant.grant_id).where(is_of, Grant.requester_id == organization_id).correlate(View).exists()
        query = query.where(or_(Resource.provider_id == organization_id, holds))
    return (await tx.execute(newest_first(query, View.opened_at, View.view_id, limit=limit, after=after))).all()


async def names_of(tx: AsyncSession, *, organizations: Collection[UUID] = (), resources: Collection[UUID] = ()) -> Mapping[UUID, str]:
    """Return the names of organizations and resources."""
    found: dict[UUID, str] = {}
    if organizations:
        query = select(Organization.organization_id, Organization.name).where(Organization.organization_id.in_(set(organizations)))
        found |= {row[0]: row[1] for row in await tx.execute(query)}
    if resources:
        found |= {
            row[0]: row[1] for row in await tx.execute(select(Resource.resource_id, _NAME).where(Resource.resource_id.in_(set(resources))))
        }
    return found
