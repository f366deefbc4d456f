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
    questions_max: int = Field(default=100, ge=1, le=1000, description="questions of one call to verify")
    count_floor: int = Field(default=10, ge=2, description="groups with fewer rows are not counted out, nor what comes as near to another")
    counts_per_day: int = Field(default=100, ge=1, le=10_000, description="different counts that a grant may ask for in a day")
    lookup_bytes: int = Field(
        default=256 * 1024**2, ge=0, description="memory of a process for sorted copies of tables' files that are read"
    )
