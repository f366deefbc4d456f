"""Arbitration cases, what both sides say and what happened to them, in PostgreSQL."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Date, DateTime, Float, ForeignKey, Index, Text, Uuid, and_, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.arbitration.domain import WAITING, CaseState, Outcome
from catalog_svc.arbitration.errors import CaseNotFound
from catalog_svc.rows import Base
from dxmesh_runtime.db import locked


class ArbitrationCase(Base):
    """Two items of two organizations that want to be one data element's source, and what the authority decided."""

    __tablename__ = "arbitration_case"
    __table_args__ = (
        Index(
            "arbitration_case_open",
            "claimant_resource_id",
            "claimant_item",
            "holder_claim_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("arbitration_case_claimant", "claimant_resource_id", "claimant_item"),
        Index("arbitration_case_holder", "holder_resource_id", "holder_item"),
    )
    case_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    division_code: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    claimant_organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    claimant_resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"))
    claimant_item: Mapped[str] = mapped_column(Text)
    claimant_item_name: Mapped[str] = mapped_column(Text)
    holder_claim_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("source_claim.claim_id"))
    holder_organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    holder_resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"))
    holder_item: Mapped[str] = mapped_column(Text)
    holder_item_name: Mapped[str] = mapped_column(Text)
    similarity: Mapped[float] = mapped_column(Float)
    reasons: Mapped[list[str]] = mapped_column(ARRAY(Text))
    opened_by: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    outcome: Mapped[str | None] = mapped_column(Text)
    decision_reason: Mapped[str | None] = mapped_column(Text)
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    objection_until: Mapped[date | None] = mapped_column(Date)
    objecting_organization_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    document: Mapped[str | None] = mapped_column(Text)  # the people's government's decision
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # without another decision
    closed_reason: Mapped[str | None] = mapped_column(Text)


class ArbitrationStatement(Base):
    """What one side of a case says."""

    __tablename__ = "arbitration_statement"
    __table_args__ = (Index("ix_arbitration_statement_case_id", "case_id"),)
    statement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    case_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("arbitration_case.case_id"))
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    body: Mapped[str] = mapped_column(Text)
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ArbitrationStep(Base):
    """What happened to a case: when, by whom and why."""

    __tablename__ = "arbitration_step"
    __table_args__ = (Index("ix_arbitration_step_case_id", "case_id"),)
    step_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    case_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("arbitration_case.case_id"))
    step: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    organization_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)


class Ruling(NamedTuple):
    """That an item is another data element than one in question, and the names both had then."""

    own_name: str
    resource_id: UUID
    item: str
    name: str


_WAITING = ArbitrationCase.state.in_(WAITING)


def _claimed_for(resource_id: UUID, item: str) -> ColumnElement[bool]:
    return and_(ArbitrationCase.claimant_resource_id == resource_id, ArbitrationCase.claimant_item == item)


def _held_by(resource_id: UUID, item: str) -> ColumnElement[bool]:
    return and_(ArbitrationCase.holder_resource_id == resource_id, ArbitrationCase.holder_item == item)


async def get(tx: AsyncSession, case_id: UUID, *, lock: bool = False) -> ArbitrationCase:
    """Return a case, its row locked and read anew when asked. Raises: CaseNotFound (404)."""
    query = select(ArbitrationCase).where(ArbitrationCase.case_id == case_id)
    if lock:
        query = locked(query)
    row = await tx.scalar(query)
    if row is None:
        raise CaseNotFound(f"no arbitration case you may see has the id {case_id}")
    return row


async def find_waiting(tx: AsyncSession, resource_id: UUID, item: str, holder: tuple[UUID, str]) -> ArbitrationCase | None:
    """Return the case of an item against another that waits for a decision."""
    case = ArbitrationCase
    return await tx.scalar(select(case).where(_WAITING, _claimed_for(resource_id, item), _held_by(*holder)))


async def waiting_in(tx: AsyncSession, claimant_resource_id: UUID) -> set[str]:
    """Return the divisions in which cases for a resource's items wait for a decision."""
    query = select(ArbitrationCase.division_code).where(_WAITING, ArbitrationCase.claimant_resource_id == claimant_resource_id)
    return set(await tx.scalars(query))


async def lock_waiting_for_resource(tx: AsyncSession, claimant_resource_id: UUID) -> Sequence[ArbitrationCase]:
    """Return the cases for a resource's items that wait for a decision, locked."""
    return await _lock_waiting(tx, ArbitrationCase.claimant_resource_id == claimant_resource_id)


async def lock_waiting_for_organization(tx: AsyncSession, claimant_organization_id: UUID) -> Sequence[ArbitrationCase]:
    """Return the cases for an organization's items that wait for a decision, locked."""
    return await _lock_waiting(tx, ArbitrationCase.claimant_organization_id == claimant_organization_id)


async def lock_waiting_about(tx: AsyncSession, resource_id: UUID, item: str, *, but: UUID | None) -> Sequence[ArbitrationCase]:
    """Return the cases about a source, on either side, that wait for a decision, locked; all `but` one."""
    about = or_(_held_by(resource_id, item), _claimed_for(resource_id, item))
    return await _lock_waiting(tx, about if but is None else and_(about, ArbitrationCase.case_id != but))


async def _lock_waiting(tx: AsyncSession, which: ColumnElement[bool]) -> Sequence[ArbitrationCase]:
    query = select(ArbitrationCase).where(_WAITING, which).order_by(ArbitrationCase.case_id)
    return (await tx.scalars(locked(query))).all()


async def distinct_from(tx: AsyncSession, resource_id: UUID, item: str) -> list[Ruling]:
    """Return the items that were found to be other data elements than this one."""
    about = or_(_claimed_for(resource_id, item), _held_by(resource_id, item))
    found = []
    for row in await tx.scalars(select(ArbitrationCase).where(ArbitrationCase.outcome == Outcome.DISTINCT.value, about)):
        claimant = (row.claimant_resource_id, row.claimant_item, row.claimant_item_name)
        holder = (row.holder_resource_id, row.holder_item, row.holder_item_name)
        own, other = (claimant, holder) if claimant[:2] == (resource_id, item) else (holder, claimant)
        found.append(Ruling(own[2], *other))
    return found


async def statements(tx: AsyncSession, case_id: UUID) -> Sequence[ArbitrationStatement]:
    """Return what was said in a case, in its order."""
    query = select(ArbitrationStatement).where(ArbitrationStatement.case_id == case_id).order_by(ArbitrationStatement.statement_id)
    return (await tx.scalars(query)).all()


async def steps(tx: AsyncSession, case_id: UUID) -> Sequence[ArbitrationStep]:
    """Return what happened to a case, oldest first."""
    query = select(ArbitrationStep).where(ArbitrationStep.case_id == case_id).order_by(ArbitrationStep.step_id)
    return (await tx.scalars(query)).all()


async def list_page(
    tx: AsyncSession, *, of: UUID | None, state: CaseState | None, after: UUID | None, limit: int
) -> Sequence[ArbitrationCase]:
    """Return up to limit + 1 cases as they were opened, of one organization when `of` is given."""
    case = ArbitrationCase
    query = select(case).order_by(case.case_id).limit(limit + 1)
    if of is not None:
        query = query.where(or_(case.claimant_organization_id == of, case.holder_organization_id == of))
    if state is not None:
        query = query.where(case.state == state.value)
    return (await tx.scalars(query if after is None else query.where(case.case_id > after))).all()
