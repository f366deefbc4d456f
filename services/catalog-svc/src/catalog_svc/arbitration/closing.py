"""What ends a case without another decision, and what is noted of each step of a case."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.arbitration import store
from catalog_svc.arbitration.domain import CaseState, Step
from catalog_svc.duty import commands as duties
from dxmesh_runtime import outbox
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog_sources import ArbitrationClosed

_CATALOGUE = "catalog-svc"


async def lapse(tx: AsyncSession, cases: Sequence[store.ArbitrationCase], *, reason: str, now: datetime) -> None:
    """End cases, locked, whose object is gone: an open one lapses, the decision of one that was objected to stands for good.

    Emits: catalog.arbitration.closed.v1 for each.
    """
    for row in cases:
        state = CaseState.LAPSED if row.state == CaseState.OPEN.value else CaseState.SETTLED
        await close(tx, row, state, reason=reason, by=_CATALOGUE, organization_id=None, now=now)


async def close(
    tx: AsyncSession,
    row: store.ArbitrationCase,
    state: CaseState,
    *,
    reason: str,
    by: str,
    organization_id: UUID | None,
    now: datetime,
) -> None:
    """End a case, locked, without another decision, and its clock. Emits: catalog.arbitration.closed.v1."""
    row.state, row.closed_reason, row.closed_at = state.value, reason, now
    note(tx, row, Step(state.value), by=by, organization_id=organization_id, reason=reason, now=now)
    await tx.flush()
    await duties.end_dispute(tx, row.case_id, by=by, reason=reason, now=now)
    await outbox.add(tx, ArbitrationClosed(case_id=row.case_id, state=state.value, reason=reason, closed_at=now), now=now)


def note(
    tx: AsyncSession,
    row: store.ArbitrationCase,
    step: Step,
    *,
    by: str,
    organization_id: UUID | None,
    reason: str,
    now: datetime,
    **details: Any,
) -> None:
    """Write down what happened to a case."""
    tx.add(
        store.ArbitrationStep(
            step_id=uuid7(),
            case_id=row.case_id,
            step=step.value,
            by=by,
            organization_id=organization_id,
            reason=reason,
            at=now,
            details=details,
        )
    )
