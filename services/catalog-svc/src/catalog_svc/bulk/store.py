"""Organizations as the lines of an import name them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.organization.store import Organization


async def find_organizations(tx: AsyncSession, named: str) -> Sequence[UUID]:
    """Return the organizations that have a text as their unified social credit code or as their name."""
    query = select(Organization.organization_id).where(or_(Organization.uscc == named, Organization.name == named))
    return (await tx.scalars(query)).all()
