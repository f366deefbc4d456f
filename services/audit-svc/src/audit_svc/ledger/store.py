"""Everything of the ledger that knows SQL: batches, deliveries, and their totals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, or_, select, true
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from audit_svc.rows import Base


class LedgerBatch(Base):
    """What became of the rows of a batch; a count is null until its event is seen."""

    __tablename__ = "ledger_batch"
    batch_id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID]
    provider_id: Mapped[UUID] = mapped_column(index=True)
    provider_name: Mapped[str]
    state: Mapped[str]  # received, accepted or rejected
    received_count: Mapped[int | None]
    accepted_count: Mapped[int | None]
    quarantined_count: Mapped[int | None]
    rejected_count: Mapped[int | None]
    received_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]


class LedgerDelivery(Base):
    """A batch on its way to a view; a count is null until its event is seen."""

    __tablename__ = "ledger_delivery"
    batch_id: Mapped[UUID] = mapped_column(primary_key=True)
    view_id: Mapped[UUID] = mapped_column(primary_key=True)
    topic: Mapped[str | None]
    ordered_count: Mapped[int | None]
    delivered_count: Mapped[int | None]
    withheld_count: Mapped[int | None]  # rows of an earlier version that do not fit the view's
    filtered_count: Mapped[int | None]  # rows the grants' filter does not let out
    vanished_count: Mapped[int | None]  # keys readers were told are gone, beside the batch's rows
    ordered_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows by what became of them, and how many batches do not add up."""

    received: int
    accepted: int
    quarantined: int
    rejected: int
    undecided: int
    ordered: int
    delivered: int
    withheld: int
    filtered: int
    vanished: int
    in_flight: int
    unbalanced_batches: int

    @property
    def balanced(self) -> bool:
        """Say whether every batch and every delivery adds up."""
        return self.unbalanced_batches == 0


def _merge(statement: Insert, columns: Sequence[str], keys: Sequence[str], weak: Sequence[str]) -> Insert:
    """Return the upsert in which a known value replaces what is stored, and a weak one only fills a gap."""
    stored, new = statement.table.c, statement.excluded
    changed: dict[str, ColumnElement[Any]] = {
        name: func.coalesce(stored[name], new[name]) if name in weak else func.coalesce(new[name], stored[name])
        for name in columns
        if name not in keys
    }
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)


async def merge_batches(tx: AsyncSession, rows: Sequence[dict[str, Any]], *, weak: Sequence[str] = ()) -> None:
    """Write what events say of batches, in any order of arrival; `weak` columns only fill gaps."""
    if rows:
        await tx.execute(_merge(upsert(LedgerBatch), list(rows[0]), ["batch_id"], weak), rows)


async def merge_deliveries(tx: AsyncSession, rows: Sequence[dict[str, Any]], *, weak: Sequence[str] = ()) -> None:
    """Write what events say of deliveries, in any order of arrival; `weak` columns only fill gaps."""
    if rows:
        await tx.execute(_merge(upsert(LedgerDelivery), list(rows[0]), ["batch_id", "view_id"], weak), rows)


async def find_batch(tx: AsyncSession, batch_id: UUID) -> LedgerBatch | None:
    """Return what the ledger knows of a batch."""
    return await tx.get(LedgerBatch, batch_id)


async def list_deliveries(tx: AsyncSession, batch_id: UUID) -> Sequence[LedgerDelivery]:
    """Return the deliveries of a batch, by view."""
    return (await tx.scalars(select(LedgerDelivery).where(LedgerDelivery.batch_id == batch_id).order_by(LedgerDelivery.view_id))).all()


_DECIDED = or_(LedgerBatch.accepted_count.is_not(None), LedgerBatch.rejected_count.is_not(None))
_PARTS = (
    func.coalesce(LedgerBatch.accepted_count, 0)
    + func.coalesce(LedgerBatch.quarantined_count, 0)
    + func.coalesce(LedgerBatch.rejected_count, 0)
)
_BATCH_OFF = and_(_DECIDED, LedgerBatch.received_count.is_not(None), LedgerBatch.received_count != _PARTS)
_DELIVERY_OFF = or_(
    and_(_DECIDED, LedgerDelivery.ordered_count.is_not(None), LedgerDelivery.ordered_count != func.coalesce(LedgerBatch.accepted_count, 0)),
    and_(
        LedgerDelivery.delivered_count.is_not(None),
        LedgerDelivery.ordered_count.is_distinct_from(
            LedgerDelivery.delivered_count
            + func.coalesce(LedgerDelivery.withheld_count, 0)
            + func.coalesce(LedgerDelivery.filtered_count, 0)
        ),
    ),
)
_DELIVERIES = LedgerDelivery.__table__.outerjoin(LedgerBatch.__table__, LedgerDelivery.batch_id == LedgerBatch.batch_id)


def _sum(column: Any) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


def _of(provider_id: UUID | None) -> ColumnElement[bool]:
    return true() if provider_id is None else LedgerBatch.provider_id == provider_id


async def get_totals(tx: AsyncSession, *, provider_id: UUID | None = None) -> Totals:
    """Add the ledger up, whole or for one provider."""
    batches = select(
        _sum(LedgerBatch.received_count),
        _sum(LedgerBatch.accepted_count),
        _sum(LedgerBatch.quarantined_count),
        _sum(LedgerBatch.rejected_count),
        _sum(case((_DECIDED, 0), else_=LedgerBatch.received_count)),
    ).where(_of(provider_id))
    received, accepted, quarantined, rejected, undecided = (await tx.execute(batches)).one()
    deliveries = (
        select(
            _sum(LedgerDelivery.ordered_count),
            _sum(LedgerDelivery.delivered_count),
            _sum(LedgerDelivery.withheld_count),
            _sum(LedgerDelivery.filtered_count),
            _sum(LedgerDelivery.vanished_count),
            _sum(case((LedgerDelivery.delivered_count.is_(None), LedgerDelivery.ordered_count), else_=0)),
        )
        .select_from(_DELIVERIES)
        .where(_of(provider_id))
    )
    ordered, delivered, withheld, filtered, vanished, in_flight = (await tx.execute(deliveries)).one()
    return Totals(
        received=int(received),
        accepted=int(accepted),
        quarantined=int(quarantined),
        rejected=int(rejected),
        undecided=int(undecided),
        ordered=int(ordered),
        delivered=int(delivered),
        withheld=int(withheld),
        filtered=int(filtered),
        vanished=int(vanished),
        in_flight=int(in_flight),
        unbalanced_batches=len(await list_unbalanced(tx, provider_id=provider_id)),
    )


async def list_unbalanced(tx: AsyncSession, *, provider_id: UUID | None = None) -> Sequence[UUID]:
    """Return the batches that do not add up, at most a thousand."""
    of_batches = select(LedgerBatch.batch_id).where(_BATCH_OFF, _of(provider_id))
    of_deliveries = select(LedgerDelivery.batch_id).select_from(_DELIVERIES).where(_DELIVERY_OFF, _of(provider_id))
    return (await tx.scalars(of_batches.union(of_deliveries).limit(1000))).all()


async def list_newest(tx: AsyncSession, count: int) -> Sequence[LedgerBatch]:
    """Return the batches whose events came last, the newest first."""
    newest = func.coalesce(LedgerBatch.received_at, LedgerBatch.decided_at).desc()
    return (await tx.scalars(select(LedgerBatch).order_by(newest, LedgerBatch.batch_id).limit(count))).all()
