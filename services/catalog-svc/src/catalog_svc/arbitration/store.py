"""Arbitration cases and what both sides say, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Float, ForeignKey, Index, Text, Uuid, and_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.arbitration.domain import CaseState, Outcome
from catalog_svc.arbitration.errors import CaseNotFound
from catalog_svc.rows import Base


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


async def get(tx: AsyncSession, case_id: UUID, *, lock: bool = False) -> ArbitrationCase:
    """Return a case, its row locked and read anew when asked. Raises: CaseNotFound (404)."""
    query = select(ArbitrationCase).where(ArbitrationCase.case_id == case_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = await tx.scalar(query)
    if row is None:
        raise CaseNotFound(f"no arbitration case you may see has the id {case_id}")
    return row


async def find_open(tx: AsyncSession, resource_id: UUID, item: str, claim_id: UUID) -> ArbitrationCase | None:
    """Return the open case of an item against a source."""
    return await tx.scalar(
        select(ArbitrationCase).where(
            ArbitrationCase.claimant_resource_id == resource_id,
            ArbitrationCase.claimant_item == item,
            ArbitrationCase.holder_claim_id == claim_id,
            ArbitrationCase.state == CaseState.OPEN.value,
        )
    )


async def distinct_from(tx: AsyncSession, resource_id: UUID, item: str) -> set[tuple[UUID, str]]:
    """Return the items that the authority found to be other data elements than this one."""
    case = ArbitrationCase
    query = select(case).where(
        case.outcome == Outcome.DISTINCT.value,
        or_(
            and_(case.claimant_resource_id == resource_id, case.claimant_item == item),
            and_(case.holder_resource_id == resource_id, case.holder_item == item),
        ),
    )
    both = [
        side
        for row in await tx.scalars(query)
        for side in ((row.claimant_resource_id, row.claimant_item), (row.holder_resource_id, row.holder_item))
    ]
    return set(both) - {(resource_id, item)}


async def statements(tx: AsyncSession, case_id: UUID) -> Sequence[ArbitrationStatement]:
    """Return what was said in a case, in its order."""
    query = select(ArbitrationStatement).where(ArbitrationStatement.case_id == case_id).order_by(ArbitrationStatement.statement_id)
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
