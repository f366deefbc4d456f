"""The assessment table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func, insert, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_schemas.quality import RuleResult
from quality_svc.assessment.errors import AssessmentNotFound
from quality_svc.catalog.store import Resource
from quality_svc.rows import Base


class Assessment(Base):
    """What the rules said of one batch; a batch is assessed once."""

    __tablename__ = "assessment"
    __table_args__ = (
        Index("ix_assessment_resource", "resource_id", "completed_at", "assessment_id"),
        Index("ix_assessment_provider", "provider_id", "completed_at", "assessment_id"),
        Index("ix_assessment_completed", "completed_at", "assessment_id"),
    )
    assessment_id: Mapped[UUID] = mapped_column(primary_key=True)
    batch_id: Mapped[UUID] = mapped_column(unique=True)
    resource_id: Mapped[UUID]
    resource_version: Mapped[int]
    provider_id: Mapped[UUID]
    kind: Mapped[str]
    outcome: Mapped[str]
    reason: Mapped[str]
    received_count: Mapped[int]
    quarantined_count: Mapped[int]
    accepted: Mapped[dict[str, Any]]
    quarantine: Mapped[dict[str, Any] | None]
    results: Mapped[list[Any]]
    completed_at: Mapped[datetime]


@dataclass(frozen=True)
class Share:
    """How much of a resource's rows was quarantined."""

    resource_id: UUID
    name: str | None
    batch_count: int
    received_count: int
    quarantined_count: int


async def lock_resources(tx: AsyncSession, resource_ids: Collection[UUID]) -> None:
    """Let nobody else assess batches of these resources until the transaction ends, so that their assessments keep their order.

    The locks are taken in the order of the ids: two who lock never wait for each other in a circle.
    """
    for resource_id in sorted(resource_ids):
        await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(resource_id), 0))))


async def list_assessed(tx: AsyncSession, batch_ids: Collection[UUID]) -> set[UUID]:
    """Return which of these batches have an assessment."""
    return set(await tx.scalars(select(Assessment.batch_id).where(Assessment.batch_id.in_(batch_ids))))


async def add(tx: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Enter assessments."""
    if rows:
        await tx.execute(insert(Assessment), list(rows))


async def get(tx: AsyncSession, assessment_id: UUID) -> Assessment:
    """Return an assessment. Raises AssessmentNotFound (404)."""
    row = await tx.get(Assessment, assessment_id)
    if row is None:
        raise AssessmentNotFound(f"there is no assessment {assessment_id} here, or you may not see it")
    return row


async def get_by_batch(tx: AsyncSession, batch_id: UUID) -> Assessment:
    """Return a batch's assessment. Raises AssessmentNotFound (404)."""
    row = (await tx.scalars(select(Assessment).where(Assessment.batch_id == batch_id))).one_or_none()
    if row is None:
        raise AssessmentNotFound(f"batch {batch_id} has no assessment here yet, or you may not see it")
    return row


async def list_newest(
    tx: AsyncSession,
    limit: int,
    *,
    provider_id: UUID | None = None,
    resource_id: UUID | None = None,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[Assessment]:
    """Return assessments, newest first, of one provider or resource when given, behind a place in the list when given."""
    query = select(Assessment).order_by(Assessment.completed_at.desc(), Assessment.assessment_id.desc()).limit(limit)
    if provider_id is not None:
        query = query.where(Assessment.provider_id == provider_id)
    if resource_id is not None:
        query = query.where(Assessment.resource_id == resource_id)
    if after is not None:
        query = query.where(tuple_(Assessment.completed_at, Assessment.assessment_id) < after)
    return (await tx.scalars(query)).all()


async def count_by_outcome(tx: AsyncSession) -> dict[str, tuple[int, int, int]]:
    """Return per outcome: batches, rows received, rows that broke a rule."""
    query = select(Assessment.outcome, func.count(), func.sum(Assessment.received_count), func.sum(Assessment.quarantined_count)).group_by(
        Assessment.outcome
    )
    return {outcome: (int(batches), int(received), int(bad)) for outcome, batches, received, bad in await tx.execute(query)}


async def list_shares(tx: AsyncSession, limit: int) -> list[Share]:
    """Return the resources with the most rows quarantined."""
    bad = func.sum(Assessment.quarantined_count)
    query = (
        select(Assessment.resource_id, func.max(Resource.name), func.count(), func.sum(Assessment.received_count), bad)
        .join(Resource, Resource.resource_id == Assessment.resource_id, isouter=True)
        .group_by(Assessment.resource_id)
        .order_by(bad.desc())
        .limit(limit)
    )
    return [Share(row[0], row[1], int(row[2]), int(row[3]), int(row[4])) for row in await tx.execute(query)]


async def list_most_broken(tx: AsyncSession, limit: int, *, newest: int = 1000) -> list[RuleResult]:
    """Return the rules broken most often in the newest assessments, their counts added up."""
    query = text("""
        SELECT result->>'rule', result->>'item', result->>'dimension_local', result->>'dimension_gb',
               sum((result->>'checked_count')::bigint), sum((result->>'failed_count')::bigint) AS failed
        FROM (SELECT results FROM assessment ORDER BY completed_at DESC LIMIT :newest) AS recent, jsonb_array_elements(results) AS result
        WHERE (result->>'failed_count')::bigint > 0
        GROUP BY 1, 2, 3, 4 ORDER BY failed DESC LIMIT :limit
    """)
    return [
        RuleResult(
            rule=row[0], item=row[1], dimension_local=row[2], dimension_gb=row[3], checked_count=int(row[4]), failed_count=int(row[5])
        )
        for row in await tx.execute(query, {"newest": newest, "limit": limit})
    ]
