"""The notice table, and what is told of the versions of views."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from dxmesh_schemas.catalog import ResourceSnapshot
from exchange_svc.catalog.store import Resource
from exchange_svc.grant.store import View
from exchange_svc.notice import domain
from exchange_svc.rows import Base


class Notice(Base):
    """A resource's announced version, from its announcement until it is in force or called off.

    touched: the items that are removed, retyped or narrowed; null when every reader is touched.
    """

    __tablename__ = "notice"
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    snapshot: Mapped[dict[str, Any]]
    touched: Mapped[list[str] | None]
    announced_at: Mapped[datetime]
    effective_at: Mapped[datetime]

    def read(self) -> ResourceSnapshot:
        """Return the coming version."""
        return ResourceSnapshot.model_validate(self.snapshot)


@dataclass(frozen=True, slots=True)
class Coming:
    """The version a view's readers will have, from when, and where its rows come already; no view when none of the items stays."""

    version: int
    announced_at: datetime
    effective_at: datetime
    view: View | None


@dataclass(frozen=True, slots=True)
class Versions:
    """The version of a resource that is in force and since when, and the one that is coming to a view's readers."""

    in_force: int
    since: datetime
    coming: Coming | None


async def find(tx: AsyncSession, resource_id: UUID) -> Notice | None:
    """Return a resource's notice, if one runs."""
    return await tx.get(Notice, resource_id, populate_existing=True)


async def list_running(tx: AsyncSession, resource_ids: Collection[UUID]) -> Collection[UUID]:
    """Return those of the resources of which a notice runs."""
    return set(await tx.scalars(select(Notice.resource_id).where(Notice.resource_id.in_(resource_ids))))


async def find_coming(connection: AsyncConnection, resource_id: UUID) -> tuple[int, datetime] | None:
    """Return the number of a resource's announced version and when it will be in force."""
    query = select(Notice.version, Notice.effective_at).where(Notice.resource_id == resource_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.version, row.effective_at)


async def end(tx: AsyncSession, resource_id: UUID) -> None:
    """Forget a resource's notice."""
    await tx.execute(delete(Notice).where(Notice.resource_id == resource_id))


async def versions_of(tx: AsyncSession, view_ids: Collection[UUID]) -> Mapping[UUID, Versions]:
    """Return for each view the version of its resource that is in force, and the coming one if that touches the view."""
    successor = aliased(View)
    query = (
        select(View, Resource, Notice, successor)
        .join(Resource, Resource.resource_id == View.resource_id)
        .outerjoin(Notice, Notice.resource_id == View.resource_id)
        .outerjoin(successor, successor.view_id == View.successor_id)
        .where(View.view_id.in_(view_ids))
    )
    found = {}
    for view, resource, notice, after in await tx.execute(query):
        coming = None
        if notice is not None and view.closed_at is None and domain.touches(notice.touched, view.items):
            coming = Coming(notice.version, notice.announced_at, notice.effective_at, after)
        found[view.view_id] = Versions(resource.version, resource.read().published_at, coming)
    return found
