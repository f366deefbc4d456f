"""The sharing_request table."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Index, Uuid, and_, bindparam, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.exchange_terms import Terms
from exchange_svc.clock.domain import ANSWER
from exchange_svc.clock.store import Clock
from exchange_svc.request.domain import BEFORE_SUBMISSION, State
from exchange_svc.request.errors import RequestNotFound
from exchange_svc.rows import Base, Sided
from exchange_svc.sharing_list.store import Entry

_WAITING = "state IN ('under_review', 'extended') AND scenario_id IS NOT NULL"


class SharingRequest(Sided, Base):
    """A department's request for items of a resource, and its answer.

    terms: `exchange_terms.Terms` as asked for; what was granted stands with the grant. missing: what the provider asked for, once.
    extension: days, reason, asked_at; with its answer outcome, consented_by, answered_at.
    scenario_id, demand_id: entries of the lists it rests on and comes from; scenario_note: why that scenario does not grant it;
    scenario_revision, scenario_looked_on: what it was last held against while it waits.
    first_view_id: the view its grant began with; first_data_at: when rows were first there to read.
    """

    __tablename__ = "sharing_request"
    __table_args__ = (
        Index("ix_sharing_request_requester", "requester_id", "created_at", "request_id"),
        Index("ix_sharing_request_provider", "provider_id", "created_at", "request_id"),
        Index("ix_sharing_request_first_view", "first_view_id"),
        Index("ix_sharing_request_scenario", "scenario_id", postgresql_where=text(_WAITING)),
        Index("ix_sharing_request_demand", "demand_id", postgresql_where=text("demand_id IS NOT NULL")),
    )
    request_id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID]
    resource_version: Mapped[int]
    items: Mapped[list[str]]
    legal_basis: Mapped[str]
    scenario: Mapped[str]
    purpose: Mapped[str]
    scenario_id: Mapped[UUID | None]
    use_purpose: Mapped[str | None]
    scenario_note: Mapped[str | None]
    scenario_revision: Mapped[int | None]
    scenario_looked_on: Mapped[date | None]
    demand_id: Mapped[UUID | None]
    use_until: Mapped[datetime | None]
    terms: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    sharing_type: Mapped[str]
    state: Mapped[str]
    created_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    missing: Mapped[list[Any] | None]
    missing_asked_at: Mapped[datetime | None]
    supplied: Mapped[str | None]
    supplied_at: Mapped[datetime | None]
    extension: Mapped[dict[str, Any] | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reason: Mapped[str | None]
    grant_id: Mapped[UUID | None]
    first_view_id: Mapped[UUID | None]
    first_data_at: Mapped[datetime | None]

    @property
    def read_terms(self) -> Terms:
        """Return what is asked for beside the items."""
        return Terms.model_validate(self.terms or {})

    @property
    def read_purpose(self) -> UsePurpose | None:
        """Return which of the purposes it is for, if it says so."""
        return UsePurpose(self.use_purpose) if self.use_purpose else None

    @property
    def named(self) -> dict[str, Any]:
        """Return what every event of a request carries."""
        return {
            "request_id": self.request_id,
            "resource_id": self.resource_id,
            "requester": self.requester_ref,
            "provider": self.provider_ref,
        }


def is_extended(row: SharingRequest) -> bool:
    """Say whether the data authority gave more time to answer."""
    return row.extension is not None and row.extension.get("outcome") == "granted"


async def get(tx: AsyncSession, request_id: UUID, *, lock: bool = False) -> SharingRequest:
    """Return a request; with `lock`, hold its row until the transaction ends. Raises RequestNotFound (404)."""
    query = select(SharingRequest).where(SharingRequest.request_id == request_id)
    row = (await tx.scalars(locked(query) if lock else query)).one_or_none()
    if row is None:
        raise RequestNotFound(f"request {request_id} does not exist, or you may not see it")
    return row


async def list_requests(
    tx: AsyncSession, *, organization_id: UUID | None, state: State | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[SharingRequest]:
    """Return requests an organization made or has to answer (all of them when None), newest first; drafts only to who made them."""
    handed_in = SharingRequest.state.not_in(BEFORE_SUBMISSION)
    query = select(SharingRequest)
    if organization_id is None:
        query = query.where(handed_in)
    else:
        to_answer = and_(SharingRequest.provider_id == organization_id, handed_in)
        query = query.where(or_(SharingRequest.requester_id == organization_id, to_answer))
    if state is not None:
        query = query.where(SharingRequest.state == state)
    return (await tx.scalars(newest_first(query, SharingRequest.created_at, SharingRequest.request_id, limit=limit, after=after))).all()


async def find_to_look_at(tx: AsyncSession, *, today: date) -> tuple[SharingRequest, int] | None:
    """Return a request under review that was not held against its scenario as it is today, locked, and that scenario's revision."""
    query = select(SharingRequest, Entry.revision).join(
        Entry, and_(Entry.entry_id == SharingRequest.scenario_id, text("list_entry.kind = 'scenario'"))
    )
    changed = SharingRequest.scenario_revision.is_distinct_from(Entry.revision)
    query = query.where(text(_WAITING), or_(changed, SharingRequest.scenario_looked_on.is_distinct_from(today)))
    query = query.order_by(SharingRequest.request_id).limit(1)
    found = (await tx.execute(locked(query, of=SharingRequest, skip_locked=True))).one_or_none()
    return None if found is None else (found[0], found[1])


async def list_without_clock(tx: AsyncSession) -> Sequence[SharingRequest]:
    """Return the requests that wait for an answer no clock was ever started for, locked; those another process holds are left to it."""
    waiting = SharingRequest.state.in_([State.UNDER_REVIEW, State.EXTENDED, State.MATERIALS_REQUESTED])
    has_clock = exists().where(Clock.request_id == SharingRequest.request_id, Clock.rule.in_(ANSWER))
    query = select(SharingRequest).where(waiting, ~has_clock).order_by(SharingRequest.request_id)
    return (await tx.scalars(locked(query, skip_locked=True))).all()


async def find_first_data(tx: AsyncSession, view_id: UUID) -> datetime | None:
    """Return when rows first came on a view that an earlier grant opened, if they have."""
    query = select(func.min(SharingRequest.first_data_at)).where(SharingRequest.first_view_id == view_id)
    return (await tx.scalars(query)).one()


_FIRST_DATA = text(
    "UPDATE sharing_request SET first_data_at = first.at FROM unnest(:view_ids, :moments) AS first(view_id, at) "
    "WHERE sharing_request.first_view_id = first.view_id AND sharing_request.first_data_at IS NULL"
).bindparams(bindparam("view_ids", type_=ARRAY(Uuid)), bindparam("moments", type_=ARRAY(DateTime(timezone=True))))


async def note_first_data(tx: AsyncSession, views: Mapping[UUID, datetime]) -> None:
    """Note when rows first came on views, for the requests that wait for them; one statement, as there may be hundreds."""
    if not views:
        return
    view_ids, moments = zip(*sorted(views.items()), strict=True)
    await tx.execute(_FIRST_DATA, {"view_ids": list(view_ids), "moments": list(moments)})
