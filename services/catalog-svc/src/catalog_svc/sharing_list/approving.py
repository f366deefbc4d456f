"""What approves a scenario, and takes an approval back: the data authority, and each provider for its own conditional resources."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.sharing_list import store, telling
from catalog_svc.sharing_list.domain import ENDED, KeptKind, Status
from catalog_svc.sharing_list.errors import ListEntryPassed, ScenarioNotApprovable
from dxmesh_clocks.working_days import ZONE
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog_lists import ScenarioApproval, ScenarioTerms
from dxmesh_schemas.problem import Forbidden

_WHO = "a scenario is approved by the data authority, and by the CDO of a department whose data it covers"


async def approve(tx: AsyncSession, entry_id: UUID, *, by: Principal, versions: Sequence[int] | None, now: datetime) -> store.ListEntry:
    """Approve a scenario as it stands, for the authority or for a provider; what has approved it already stays so.

    Raises: ListEntryNotFound (404), Forbidden (403), ListEntryPassed (412), ScenarioNotApprovable (409).
    Emits: catalog.list_entry.changed.v1.
    Source: GDSR Art. 20-21: an answer has a named approver, here for all requests that the scenario covers.
    """
    row = await _locked(tx, entry_id, versions)
    if row.scenario is None:
        raise ScenarioNotApprovable("the entry says no terms; its owner writes `scenario` (purposes, requesters, data, days) first")
    terms = ScenarioTerms.model_validate(row.scenario)
    if Status(row.status) in ENDED or terms.valid_until < now.astimezone(ZONE).date():
        raise ScenarioNotApprovable(
            f"the scenario is over (status {row.status}, valid until {terms.valid_until}); its owner renews it first"
        )
    standing = _standing(by)
    if standing["role"] == "provider" and not await store.provides(
        tx,
        by.own_organization,
        resource_ids=[data.resource_id for data in terms.data if data.resource_id is not None],
        class_prefixes=[data.class_prefix for data in terms.data if data.class_prefix is not None],
    ):
        raise Forbidden(f"{_WHO}; your department provides none of them")
    if any(_is_of(one, standing) for one in row.approvals):
        return row
    given = ScenarioApproval.model_validate(standing | {"approved_by": by.subject, "approved_at": now})
    return await _write(tx, row, [*row.approvals, given.model_dump(mode="json")], by=by, now=now)


async def revoke(tx: AsyncSession, entry_id: UUID, *, by: Principal, versions: Sequence[int] | None, now: datetime) -> store.ListEntry:
    """Take the caller's approval of a scenario back; without one nothing changes. What was granted meanwhile is not touched.

    Raises: ListEntryNotFound (404), Forbidden (403), ListEntryPassed (412).
    Emits: catalog.list_entry.changed.v1.
    """
    row = await _locked(tx, entry_id, versions)
    standing = _standing(by)
    left = [one for one in row.approvals if not _is_of(one, standing)]
    return row if len(left) == len(row.approvals) else await _write(tx, row, left, by=by, now=now)


async def _locked(tx: AsyncSession, entry_id: UUID, versions: Sequence[int] | None) -> store.ListEntry:
    await store.hold(tx, KeptKind.SCENARIO.value, alone=False)
    row = await store.get(tx, KeptKind.SCENARIO, entry_id, lock=True)
    if versions is not None and row.version not in versions:
        raise ListEntryPassed("read the scenario again and decide on what it is now", version=row.version)
    return row


def _standing(by: Principal) -> dict[str, Any]:
    if by.has("authority"):
        return {"role": "authority", "organization_id": None}
    if by.has("cdo"):
        return {"role": "provider", "organization_id": str(by.own_organization)}
    raise Forbidden(_WHO)


def _is_of(approval: dict[str, Any], standing: dict[str, Any]) -> bool:
    return all(approval[name] == value for name, value in standing.items())


async def _write(
    tx: AsyncSession, row: store.ListEntry, approvals: list[dict[str, Any]], *, by: Principal, now: datetime
) -> store.ListEntry:
    row.approvals, row.version, row.changed_at, row.changed_by = approvals, row.version + 1, now, by.subject
    await tx.flush()
    await telling.keep_and_tell(tx, [row.entry_id], now=now)
    return row
