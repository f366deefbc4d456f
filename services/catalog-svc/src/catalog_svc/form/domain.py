"""What a new form's item means once the catalogue has been looked through."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from catalog_svc.matching.domain import Match, Verdict
from dxmesh_schemas.catalog import SharingType

MOST_MATCHES = 5


class Outcome(StrEnum):
    """Whether an item has to be collected.

    held: a department has it and shares it, so it is asked for and not collected again (GDSR Art. 19); withheld: the catalogue has
    it, but it is not shared; doubtful: a person must look; new: nothing like it is in the catalogue.
    """

    HELD = "held"
    WITHHELD = "withheld"
    DOUBTFUL = "doubtful"
    NEW = "new"


class Listed(Protocol):
    """What is known of a catalogued item."""

    @property
    def sharing_type(self) -> str: ...


def outcome(matches: Sequence[tuple[Listed, Match]]) -> Outcome:
    """Return what the matches of an item come to."""
    same = [item for item, match in matches if match.verdict is Verdict.SAME]
    if any(item.sharing_type != SharingType.NOT_SHARED.value for item in same):
        return Outcome.HELD
    if same:
        return Outcome.WITHHELD
    return Outcome.DOUBTFUL if matches else Outcome.NEW


def how_to_ask(resource_id: str, item: str, sharing_type: str) -> dict[str, Any] | None:
    """Return the sharing request that gets the item, and within how many working days it is answered; None when it is not shared.

    Source: 政务数据共享条例 Art. 20-21.
    """
    if sharing_type == SharingType.NOT_SHARED.value:
        return None
    days = 1 if sharing_type == SharingType.UNCONDITIONAL.value else 10
    return {
        "method": "POST",
        "href": "/v1/requests",
        "body": {"resource_id": resource_id, "items": [item]},
        "answered_within_working_days": days,
    }
