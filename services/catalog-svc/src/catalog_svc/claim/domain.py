"""Whether an item may be a source, and what a refusal says."""

from enum import StrEnum
from typing import Any

from catalog_svc.claim.errors import ClaimInvalid
from catalog_svc.matching.domain import Element
from dxmesh_schemas.catalog import DataItem


class ClaimState(StrEnum):
    """Whether a claim is in force."""

    HELD = "held"
    RELEASED = "released"


def refuse_item(item: DataItem | None, code: str, element: Element | None, *, refers_elsewhere: bool) -> None:
    """Raise ClaimInvalid (422) for an item that no version in force has, that keeps a table only, or that repeats another's values.

    Source: 政务数据共享条例 Art. 19.
    """
    if item is None or element is None:
        _refuse(f"the version in force has no item {code!r}; name one of its item codes")
    elif element.name.is_technical:
        _refuse(f"{item.name!r} keeps a table and is no data element; claim items that say something of the resource's subject")
    elif refers_elsewhere:
        _refuse(f"the values of {code} are those of another resource (its `reference`); that item is the source, not this one")


def _refuse(detail: str) -> None:
    raise ClaimInvalid.of([("/item", detail)])


def how_to_arbitrate(resource_id: str, item: str) -> dict[str, Any]:
    """Return what a refused claimant sends to have the authority decide."""
    return {
        "method": "POST",
        "href": "/v1/arbitrations",
        "body": {"resource_id": resource_id, "item": item, "statement": "why this item should be the source"},
    }
