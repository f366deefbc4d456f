"""Organizations and resources as the lines of an import name them."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.organization.store import Organization
from catalog_svc.resource.domain import State
from catalog_svc.resource.store import Resource


async def find_organizations(tx: AsyncSession, named: str) -> Sequence[UUID]:
    """Return the organizations that have a text as their unified social credit code or as their name."""
    query = select(Organization.organization_id).where(or_(Organization.uscc == named, Organization.name == named))
    return (await tx.scalars(query)).all()


async def known_names(tx: AsyncSession, name_keys: Collection[str]) -> set[str]:
    """Return which of these names resources have, whosever they are."""
    query = select(Resource.name_key).where(Resource.name_key.in_(name_keys), Resource.state != State.WITHDRAWN.value)
    return set((await tx.scalars(query)).all())
