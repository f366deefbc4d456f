"""Rules of sectors: their codes, and the problem of one without a free place."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import StringConstraints

from catalog_svc.sector.errors import CapReached, CapTooLow

SectorCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$")]
"""A sector's code: 1 to 32 of a-z 0-9 _ -, so that none can be written in two ways."""
Present = Sequence[dict[str, str]]
"""Who has the places: id and name."""
_NAMED_AT_MOST = 10


def reached(sector_name: str, what: str, cap: int, present: Present, *, remedy: str) -> CapReached:
    """Return the problem of a sector whose places are all taken."""
    taken = f": {_names(present)}" if present else ""
    detail = (
        f"{sector_name} may have {cap} {what} and has {len(present)}{taken}; {remedy} or have the cap raised (PUT /v1/sectors/{{code}})"
    )
    return CapReached(detail, cap=cap, present=list(present))


def too_low(what: str, cap: int, present: Present, *, remedy: str) -> CapTooLow:
    """Return the problem of a cap below what there is."""
    return CapTooLow(f"the sector has {len(present)} {what}, more than {cap}: {_names(present)}; {remedy}", present=list(present))


def _names(present: Present) -> str:
    return ", ".join(one["name"] for one in present[:_NAMED_AT_MOST])
