"""The view and grant tables."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    DateTime,
    ForeignKey,
    Index,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Mapped, aliased, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.catalog import OrganizationRef, ResourceSnapshot
from dxmesh_schemas.exchange_terms import Condition, Mask, Terms
from exchange_svc.grant.domain import IN_FORCE, READABLE, OpenView, State, state_at
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.rows import Base

_WHERE = TypeAdapter(tuple[Condition, ...])
_MASKS = TypeAdapter(tuple[Mask, ...])
_ENDING = "state IN ('delivering', 'active', 'suspended') AND use_until IS NOT NULL"


class View(Base):
    """The items of a resource that leave on one topic; equal unconditional grants share one.

    form: the announced version that batches of earlier ones are brought into, on a view opened for it; null on the others.
    where, masks: the filter and masks, as `exchange_terms` has them. scope: the grant whose pseudonyms they are. schema_base: the
    address of the view's own schema, without its version, if it has masks.
    successor_id: the view of the coming version, which takes this one's place when that is in force.
    """

    __tablename__ = "view"
    __table_args__ = (
        Index("uq_view_open_identity", "resource_id", "identity", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("ix_view_successor", "successor_id", postgresql_where=text("successor_id IS NOT NULL")),
    )
    view_id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID]
    resource_version: Mapped[int]
    items: Mapped[list[str]]
    identity: Mapped[str]
    topic: Mapped[str]
    form: Mapped[dict[str, Any] | None]
    where: Mapped[list[Any]] = mapped_column(server_default="[]")
    masks: Mapped[list[Any]] = mapped_column(server_default="[]")
    scope: Mapped[UUID | None]
    schema_base: Mapped[str | None]
    successor_id: Mapped[UUID | None] = mapped_column(ForeignKey("view.view_id"))
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]

    @property
    def open_view(self) -> OpenView:
        """Return what the rules need of this view."""
        form = None if self.form is None else ResourceSnapshot.model_validate(self.form)
        where, masks = _WHERE.validate_python(self.where or ()), _MASKS.validate_python(self.masks or ())
        return OpenView(self.view_id, self.resource_id, tuple(self.items), self.topic, form, where, masks, self.scope, self.schema_base)


class Grant(Base):
    """A requester's right to read a view.

    terms: `exchange_terms.Terms`, what is allowed beside the view's items. disposal: `exchange_sharing.Disposal`, once filed.
    """

    __tablename__ = "grant"
    __table_args__ = (
        Index("ix_grant_requester", "requester_id", "activated_at", "grant_id"),
        Index("ix_grant_provider", "provider_id", "activated_at", "grant_id"),
        Index("ix_grant_view", "view_id"),
        Index("ix_grant_ending", "use_until", postgresql_where=text(_ENDING)),
        Index("ix_grant_delivering", "resource_id", postgresql_where=text("state = 'delivering'")),
    )
    grant_id: Mapped[UUID] = mapped_column(primary_key=True)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("sharing_request.request_id"), unique=True)
    resource_id: Mapped[UUID]
    requester_id: Mapped[UUID]
    requester: Mapped[dict[str, Any]]
    provider_id: Mapped[UUID]
    view_id: Mapped[UUID] = mapped_column(ForeignKey("view.view_id"))
    state: Mapped[str]
    terms: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    use_until: Mapped[datetime | None]
    activated_at: Mapped[datetime]
    suspended_at: Mapped[datetime | None]
    suspension_reason: Mapped[str | None]
    remedy_until: Mapped[date | None]
    terminated_at: Mapped[datetime | None]
    termination_reason: Mapped[str | None]
    expired_at: Mapped[datetime | None]
    disposal: Mapped[dict[str, Any] | None]
    disposed_at: Mapped[datetime | None]

    def state_at(self, now: datetime) -> State:
        """Return the state at a time."""
        return state_at(State(self.state), self.use_until, now)

    @property
    def requester_ref(self) -> OrganizationRef:
        """Return the organization that may read."""
        return OrganizationRef.model_validate(self.requester)

    @property
    def named(self) -> dict[str, Any]:
        """Return what every event of a grant carries."""
        return {
            "grant_id": self.grant_id,
            "request_id": self.request_id,
            "resource_id": self.resource_id,
            "requester": self.requester_ref,
        }

    @property
    def read_terms(self) -> Terms:
        """Return what is allowed beside the items."""
        return Terms.model_validate(self.terms or {})


def _is_live(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Say whether a grant's view gets batches: one that is suspended misses none."""
    return and_(Grant.state.in_(IN_FORCE), or_(Grant.use_until.is_(None), Grant.use_until > now))


def is_read_by(mode: str | ColumnElement[str] | InstrumentedAttribute[str], now: datetime) -> ColumnElement[bool]:
    """Return the condition under which a grant's requester may have its rows in a way now."""
    name = literal(mode, Text) if isinstance(mode, str) else mode
    allows = or_(Grant.terms["modes"].is_(None), Grant.terms["modes"].contains(func.to_jsonb(name)))
    return and_(Grant.state.in_(READABLE), or_(Grant.use_until.is_(None), Grant.use_until > now), allows)


def _has_live_grant(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    before = aliased(View)
    coming = exists().where(before.successor_id == View.view_id, Grant.view_id == before.view_id, _is_live(now))
    return or_(exists().where(Grant.view_id == View.view_id, _is_live(now)), coming)


async def close_unused_views(tx: AsyncSession, resource_ids: Collection[UUID], *, now: datetime) -> Sequence[View]:
    """Close the views of which no grant is in force, now or as of a coming version; call it under the lock of the resources' rows.

    A closed view is never opened again: it has missed batches, so the next equal grant opens a new one with all of them.
    """
    stale = View.resource_id.in_(resource_ids) & View.closed_at.is_(None) & ~_has_live_grant(now)
    closing = update(View).where(stale).values(closed_at=now).returning(View)
    return (await tx.scalars(closing.execution_options(synchronize_session=False, populate_existing=True))).all()


_NOW = bindparam("now", type_=DateTime(timezone=True))
_OPEN_VIEWS = (  # made once: every batch asks it
    select(View, _has_live_grant(_NOW).label("is_used"))
    .where(View.resource_id == any_(bindparam("resource_ids", type_=ARRAY(Uuid))), View.closed_at.is_(None))
    .order_by(View.opened_at, View.view_id)
)


async def list_used_views(
    tx: AsyncSession, resource_ids: Collection[UUID], *, now: datetime
) -> tuple[dict[UUID, list[OpenView]], Sequence[View]]:
    """Return the open views of resources, oldest first, and those closed as `close_unused_views` does; call it under the same lock.

    Nothing is written when there are none: a batch wakes nobody who waits for changes of views.
    """
    found: dict[UUID, list[OpenView]] = {}
    unused: list[View] = []
    for row, is_used in await tx.execute(_OPEN_VIEWS, {"resource_ids": list(resource_ids), "now": now}):
        if is_used:
            found.setdefault(row.resource_id, []).append(row.open_view)
        else:
            unused.append(row)
    for row in unused:
        row.closed_at = now
    return found, unused


async def find_open_view(tx: AsyncSession, resource_id: UUID, identity: str) -> View | None:
    """Return the open view that equal grants share, if there is one."""
    query = select(View).where(View.resource_id == resource_id, View.identity == identity, View.closed_at.is_(None))
    return (await tx.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def list_open_rows(tx: AsyncSession, resource_id: UUID) -> Sequence[View]:
    """Return a resource's open views as they are now in the database, oldest first; call it under the lock of the resource's row."""
    query = select(View).where(View.resource_id == resource_id, View.closed_at.is_(None)).order_by(View.opened_at, View.view_id)
    return (await tx.scalars(query.execution_options(populate_existing=True))).all()


async def list_live(tx: AsyncSession, view_ids: Collection[UUID], *, now: datetime) -> Sequence[Grant]:
    """Return the grants in force on views, suspended ones too, oldest first."""
    query = select(Grant).where(Grant.view_id.in_(view_ids), _is_live(now)).order_by(Grant.activated_at, Grant.grant_id)
    return (await tx.scalars(query.execution_options(populate_existing=True))).all()


async def list_overdue(tx: AsyncSession, *, now: datetime, limit: int) -> Sequence[Grant]:
    """Return grants whose time is over and of which that was not told, longest over first."""
    over = and_(text(_ENDING), Grant.use_until <= now)
    return (await tx.scalars(select(Grant).where(over).order_by(Grant.use_until, Grant.grant_id).limit(limit))).all()


async def next_end(tx: AsyncSession) -> datetime | None:
    """Return when the next grant in force ends."""
    return (await tx.scalars(select(func.min(Grant.use_until)).where(text(_ENDING)))).one()


async def begin_delivering(tx: AsyncSession, resource_ids: Collection[UUID]) -> None:
    """Note that there is something to read by grants that waited for a first batch; call it under the lock of the resources' rows."""
    waiting = Grant.resource_id.in_(resource_ids) & (Grant.state == State.DELIVERING)
    await tx.execute(update(Grant).where(waiting).values(state=State.ACTIVE).execution_options(synchronize_session=False))


async def get_view(tx: AsyncSession, view_id: UUID) -> View:
    """Return a view that a grant names."""
    return await tx.get_one(View, view_id)


async def get_view_of(tx: AsyncSession, topic: str) -> View:
    """Return the view of a topic."""
    return (await tx.scalars(select(View).where(View.topic == topic))).one()


async def comes_of(tx: AsyncSession, topic: str, view: View) -> bool:
    """Say whether a view took the place of a topic's by new versions alone, so that what is on the topic is within the same terms."""
    before = await get_view_of(tx, topic)
    while before.view_id != view.view_id:
        if before.successor_id is None:
            return False
        before = await get_view(tx, before.successor_id)
    return True


async def find_view(tx: AsyncSession, view_id: UUID) -> View | None:
    """Return a view, open or closed, if there is one."""
    return await tx.get(View, view_id)


async def get(tx: AsyncSession, grant_id: UUID, *, lock: bool = False) -> tuple[Grant, View]:
    """Return a grant and its view. Raises GrantNotFound (404)."""
    query = select(Grant, View).join(View, View.view_id == Grant.view_id).where(Grant.grant_id == grant_id)
    row = (await tx.execute(locked(query, of=Grant) if lock else query)).one_or_none()
    if row is None:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not see it")
    return row[0], row[1]


async def has_grant(tx: AsyncSession, resource_id: UUID, requester_id: UUID) -> bool:
    """Say whether an organization was ever granted anything of a resource."""
    query = select(exists().where(Grant.resource_id == resource_id, Grant.requester_id == requester_id))
    return bool(await tx.scalar(query))


async def list_grants(
    tx: AsyncSession, *, organization_id: UUID | None, resource_id: UUID | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[tuple[Grant, View]]:
    """Return grants an organization gave or holds (all of them when None), newest first, each with its view."""
    query = select(Grant, View).join(View, View.view_id == Grant.view_id)
    if organization_id is not None:
        query = query.where(or_(Grant.requester_id == organization_id, Grant.provider_id == organization_id))
    if resource_id is not None:
        query = query.where(Grant.resource_id == resource_id)
    rows = await tx.execute(newest_first(query, Grant.activated_at, Grant.grant_id, limit=limit, after=after))
    return [(row[0], row[1]) for row in rows]
