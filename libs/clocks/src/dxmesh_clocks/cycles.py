"""How long data are current that change by a cycle."""

from collections.abc import Mapping
from types import MappingProxyType

from dxmesh_schemas.catalog import UpdateCycle

ALLOWED: Mapping[UpdateCycle, tuple[int, int]] = MappingProxyType(
    {
        UpdateCycle.REALTIME: (0, 1),
        UpdateCycle.DAILY: (0, 1),
        UpdateCycle.WEEKLY: (0, 7),
        UpdateCycle.MONTHLY: (1, 0),
        UpdateCycle.QUARTERLY: (3, 0),
        UpdateCycle.HALF_YEARLY: (6, 0),
        UpdateCycle.YEARLY: (12, 0),
    }
)
"""Update cycle → (calendar months, days) from the day of the newest data to the last day on which they are current.

Data of the 10th that change daily are current through the 11th. IRREGULAR and STATIC data do not grow stale.
"""
