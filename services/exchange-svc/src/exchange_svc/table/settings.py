"""The settings of tables' upkeep."""

from datetime import timedelta

from pydantic import Field

from dxmesh_runtime.settings import Group


class TableSettings(Group):
    """When tables are tended, and how long their old versions can be read."""

    upkeep_seconds: float = Field(default=60.0, gt=0, description="between two rounds over the tables")
    upkeep_commits: int = Field(default=20, ge=1, description="versions a table has moved on by before a round looks at it")
    spare_files: int = Field(default=16, ge=1, description="small files are joined when so many fewer remain")
    kept_hours: int = Field(default=72, ge=1, le=168, description="how long a version can be read after a newer one replaced it")

    @property
    def kept(self) -> timedelta:
        """Return how long a version can be read after it was replaced."""
        return timedelta(hours=self.kept_hours)
