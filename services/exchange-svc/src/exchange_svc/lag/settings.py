"""The settings of lag."""

from pydantic import Field

from dxmesh_runtime.settings import Group


class LagSettings(Group):
    """When a subscriber is behind, and how often all of them are looked at."""

    limit_seconds: float = Field(
        default=900.0, gt=0, description="a change that a topic's reader, webhook or table has not had for so long makes it behind"
    )
    round_seconds: float = Field(default=60.0, gt=0, description="between two looks at all subscribers, for metrics and events")
    patience_seconds: float = Field(default=5.0, gt=0, description="for the broker to say where consumer groups are")
