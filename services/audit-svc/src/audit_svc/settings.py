"""What audit-svc is configured by."""

from typing import Self

from pydantic import Field, model_validator

from dxmesh_runtime.settings import Group, ServiceSettings, SigningSettings
from dxmesh_schemas.audit import CheckpointPublished


class LogSettings(Group):
    """The transparency log: its name, what it records and how often it signs."""

    origin: str = Field(pattern=r"^[^\s+]+$", description="the log's name for ever: the first line of each checkpoint")
    topics: tuple[str, ...] = Field(default=(), description="topics recorded beside those this build knows; they must exist")
    checkpoint_seconds: float = Field(default=0.2, gt=0, le=60, description="shortest time between two checkpoints")
    publish_seconds: float = Field(default=1.0, gt=0, le=3600, description="shortest time between two announced checkpoints")
    max_group: int = Field(default=2000, ge=1, le=5000, description="most events appended in one transaction")

    @model_validator(mode="after")
    def _never_records_itself(self) -> Self:
        if CheckpointPublished.TOPIC in self.topics:
            raise ValueError(f"{CheckpointPublished.TOPIC} tells of the log's own growth; recording it would never end")
        return self


class Settings(ServiceSettings):
    """The groups of every service, the key that signs checkpoints, and the log."""

    signing: SigningSettings
    log: LogSettings
