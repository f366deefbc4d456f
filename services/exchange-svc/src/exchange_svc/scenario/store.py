"""The scenario_grant table: grants that a scenario gave, and what they rest on."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ForeignKey, Index, and_, not_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.catalog_lists import ScenarioApproval
from exchange_svc.grant.store import Grant
from exchange_svc.rows import Base
from exchange_svc.scenario.errors import ScenarioGrantNotFound

_APPROVALS = TypeAdapter(tuple[ScenarioApproval, ...])


class ScenarioGrant(Base):
    """A grant that a scenario gave. approvals: those it rests on; lapse_reason: why it has lost that ground, once it has.

    confirmed_by, confirmation_reason: who of its provider said that it goes on without, and why.
    """

    __tablename__ = "scenario_grant"
    __table_args__ = (
        Index("ix_scenario_grant_scenario", "scenario_id", postgresql_where=text("lapsed_at IS NULL")),
        Index("ix_scenario_grant_requester", "requester_id", "granted_at", "grant_id"),
        Index("ix_scenario_grant_provider", "provider_id", "granted_at", "grant_id"),
    )
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.grant_id"), primary_key=True)
    scenario_id: Mapped[UUID]
    scenario: Mapped[str]
    revision: Mapped[int]
    approvals: Mapped[list[Any]]
    resource_id: Mapped[UUID]
    requester_id: Mapped[UUID]
    provider_id: Mapped[UUID]
    granted_at: Mapped[datetime]
    lapsed_at: Mapped[datetime | None]
    lapse_reason: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[str | None]
    confirmation_reason: Mapped[str | None]

    @property
    def read_approvals(self) -> tuple[ScenarioApproval, ...]:
        """Return the approvals the grant rests on."""
        return _APPROVALS.validate_python(self.approvals)


async def list_resting(tx: AsyncSession, scenario_ids: Collection[UUID]) -> Sequence[tuple[ScenarioGrant, Grant]]:
    """Return the grants that rest on these scenarios, both rows locked, in the order of their ids."""
    query = select(ScenarioGrant, Grant).join(Grant, Grant.grant_id == ScenarioGrant.grant_id)
    query = query.where(ScenarioGrant.scenario_id.in_(scenario_ids), ScenarioGrant.lapsed_at.is_(None)).order_by(ScenarioGrant.grant_id)
    rows = await tx.execute(locked(query))
    return [(row[0], row[1]) for row in rows]


async def get(tx: AsyncSession, grant_id: UUID) -> tuple[ScenarioGrant, Grant]:
    """Return a grant that a scenario gave, both rows locked. Raises: ScenarioGrantNotFound (404)."""
    query = select(ScenarioGrant, Grant).join(Grant, Grant.grant_id == ScenarioGrant.grant_id).where(ScenarioGrant.grant_id == grant_id)
    row = (await tx.execute(locked(query))).one_or_none()
    if row is None:
        raise ScenarioGrantNotFound(f"grant {grant_id} was not given by a scenario, or you may not see it")
    return row[0], row[1]


async def list_given(
    tx: AsyncSession, *, organization_id: UUID | None, is_lapsed: bool | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[tuple[ScenarioGrant, Grant]]:
    """Return grants that scenarios gave, to or of an organization (all of them when None), newest first.

    is_lapsed: that have lost their ground, and whose provider has not said yet that they go on without.
    """
    query = select(ScenarioGrant, Grant).join(Grant, Grant.grant_id == ScenarioGrant.grant_id)
    if organization_id is not None:
        query = query.where(or_(ScenarioGrant.requester_id == organization_id, ScenarioGrant.provider_id == organization_id))
    if is_lapsed is not None:
        lapsed = and_(ScenarioGrant.lapsed_at.is_not(None), ScenarioGrant.confirmed_at.is_(None))
        query = query.where(lapsed if is_lapsed else not_(lapsed))
    rows = await tx.execute(newest_first(query, ScenarioGrant.granted_at, ScenarioGrant.grant_id, limit=limit, after=after))
    return [(row[0], row[1]) for row in rows]
