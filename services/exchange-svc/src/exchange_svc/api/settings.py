"""The settings of shared APIs."""

from pydantic import Field

from dxmesh_runtime.settings import Group


class ApiSettings(Group):
    """What is kept of calls, and for how long."""

    rollup_seconds: float = Field(default=10.0, gt=0, description="between two rounds in which calls become hourly counters")
    grace_seconds: int = Field(
        default=120, ge=0, description="after an hour's end before it is told; a call that is counted later is told anew"
    )
    use_record_days: int = Field(default=1827, ge=1096, description="how long hourly counters are kept; the law asks for three years")
