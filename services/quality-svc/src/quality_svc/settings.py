"""The settings of quality-svc."""

import tempfile
from pathlib import Path

from pydantic import Field

from dxmesh_runtime.settings import Group, ObjectStoreSettings, ServiceSettings


class CheckingSettings(Group):
    """Where files lie while they are written, and what is kept in memory between batches."""

    folder: Path = Field(
        default=Path(tempfile.gettempdir()) / "dxmesh-quality", description="on the object store's device, objects need no second copy"
    )
    known_values_bytes: int = Field(default=256 * 1024**2, ge=0, description="of code sets and referenced values kept between batches")
    group_batches: int = Field(default=200, ge=1, description="waiting batches checked in one transaction")


class Settings(ServiceSettings):
    """What quality-svc is configured by."""

    object_store: ObjectStoreSettings
    checking: CheckingSettings = CheckingSettings()
