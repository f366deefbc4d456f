"""The setting that names a jurisdiction's deadlines; every service that keeps deadlines reads the same file."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dxmesh_clocks.policy import Policy, local, regulation


class PolicySettings(BaseModel):
    """How long the deadlines of this node's jurisdiction are."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: Path | None = Field(default=None, description="JSON; without it the regulation's values, which a local one may only shorten")

    @field_validator("file")
    @classmethod
    def _good_policy(cls, value: Path | None) -> Path | None:
        if value is not None:
            cls._read(value)
        return value

    @staticmethod
    def _read(file: Path) -> Policy:
        try:
            return local(file.read_bytes())
        except OSError as wrong:
            raise ValueError(f"{file} cannot be read: {wrong.strerror}") from wrong

    def read(self) -> Policy:
        """Return the policy. Raises ValueError when the file changed for the worse since it was checked."""
        return regulation() if self.file is None else self._read(self.file)
