"""Rules of offers: which items of a resource a scenario offers to an organization, and the papers an acceptance needs."""

from collections.abc import Sequence
from datetime import date

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot, SharingType
from dxmesh_schemas.catalog_lists import ListEntryEvent
from dxmesh_schemas.exchange_terms import Terms
from exchange_svc.request.domain import MASKED_FROM_LEVEL
from exchange_svc.scenario.domain import Asked, Asker, authorizes, covers


def offered(entry: ListEntryEvent, resource: ResourceSnapshot, requester: Asker, today: date) -> tuple[str, ...]:
    """Return the items that a scenario would grant at once to an organization that it names; none when it grants nothing.

    Items of a high level are offered only behind the scenario's own mask.
    """
    scenario = entry.scenario
    if scenario is None or not scenario.purposes or requester.organization_id not in scenario.requesters.organization_ids:
        return ()
    if requester.organization_id == resource.provider.organization_id:
        return ()
    masked = {mask.item for mask in (scenario.terms.masks or ()) if scenario.terms} if scenario.terms else set()
    items = [item for item in resource.items if any(covers(data, item.code, resource) for data in scenario.data) and _leaves(item, masked)]
    if not items or not authorizes(entry, Asked(items, scenario.purposes[0], Terms()), resource, requester, today).grants:
        return ()
    return tuple(item.code for item in items)


def _leaves(item: DataItem, masked: set[str]) -> bool:
    return item.sharing_type is not SharingType.NOT_SHARED and (item.data_level < MASKED_FROM_LEVEL or item.code in masked)


def basis_of(entry: ListEntryEvent) -> str:
    """Return the legal basis of a request by a scenario, as far as the scenario says it."""
    approvers = _joined([one.approved_by for one in entry.approvals])
    return f"政务数据共享条例第二十条;场景清单“{entry.name}”({entry.entry_id},第{entry.revision}版),{approvers}批准"


def _joined(names: Sequence[str]) -> str:
    return "、".join(dict.fromkeys(names)) or "未"
