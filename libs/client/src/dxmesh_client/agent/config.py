"""What an agent is told: a TOML file that names its jobs; every fault is named with its place in the file."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dxmesh_client.errors import ClientError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Kind = Literal["append", "upsert", "delete", "snapshot"]


class ConfigInvalid(ClientError):
    """The agent's configuration is not one."""

    exit_code = 2


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FolderSource(_Part):
    """A folder that files are put into."""

    path: Path
    pattern: str = Field(default="*", min_length=1, pattern=r"^[^/\\]+$")  # of names in the folder itself: `done` is below it
    stable_seconds: float = Field(default=2, ge=0)  # a file that did not change for so long is complete
    marker: str | None = Field(default=None, pattern=r"^\.[A-Za-z0-9._-]+$")  # or: once FILE + marker is there, `.ok` say


class TableSource(_Part):
    """A table or view of the department's database."""

    url: str = ""
    url_env: str = ""  # the variable that holds the address, so that no password stands in the file
    table: str
    key: tuple[str, ...] = ()
    changed: str | None = None
    deleted: str | None = None
    columns: dict[str, str] = {}  # item of the resource → column; without it every column, under its own name
    rows: int = Field(default=10_000, ge=1, le=1_000_000)
    settle_seconds: float = Field(default=10, ge=0)
    clock: Literal["local", "utc"] = "local"  # of times the table keeps without a zone
    snapshot_hours: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.url) == bool(self.url_env):
            raise ValueError("give the database's address in `url`, or name the variable that holds it in `url_env`")
        if not self.key:
            raise ValueError("`key` is missing: name the columns that tell a row from all others; they order rows of one moment")
        if self.deleted and not self.changed:
            raise ValueError("`deleted` needs `changed`: a row that is marked as deleted has to be seen as changed")
        return self

    @property
    def order(self) -> tuple[str, ...]:
        """Return the columns by which rows are read."""
        return (self.changed, *self.key) if self.changed else self.key

    def address(self) -> str:
        """Return the database's address. Raises: ConfigInvalid when the variable is not set."""
        found = self.url or os.environ.get(self.url_env, "")
        if not found:
            raise ConfigInvalid(f"the variable {self.url_env} is not set; it has to hold the address of the database")
        return found


class Job(_Part):
    """What goes to one resource."""

    name: Name
    resource_id: UUID
    kind: Kind | None = None
    folder: FolderSource | None = None
    table: TableSource | None = None

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if (self.folder is None) == (self.table is None):
            raise ValueError("give the job one source: `folder` or `table`")
        if self.table and self.kind in ("delete", "snapshot"):
            raise ValueError("a table is sent as `append` or `upsert`; set `snapshot_hours` or `deleted` for the rest")
        return self


class Agent(_Part):
    """The agent itself."""

    name: Name
    state: Path = Path("state")
    poll_seconds: float = Field(default=5, gt=0)
    wait_seconds: float = Field(default=60, ge=0)  # for the verdict on a batch; decided later, it is only not in the report
    resumable_bytes: int = Field(default=16 << 20, ge=0)  # larger files go in parts
    backoff_max_seconds: float = Field(default=300, gt=0)


class Config(_Part):
    """An agent with its jobs."""

    agent: Agent
    job: tuple[Job, ...] = Field(min_length=1)


def load(path: Path) -> Config:
    """Read the file; paths in it are seen from where it is. Raises: ConfigInvalid naming every fault."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ConfigInvalid(f"{path} is not TOML: {wrong}") from wrong
    try:
        found = Config.model_validate(document)
    except ValidationError as wrong:
        raise ConfigInvalid(f"{path}: " + "; ".join(_faults(wrong, document))) from wrong
    names = [job.name for job in found.job]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigInvalid(f"{path}: job.name: {', '.join(sorted(twice))} stands for two jobs; give each a name of its own")
    sources = [(str(job.folder.path), job.folder.pattern) for job in found.job if job.folder]
    if same := {source for source in sources if sources.count(source) > 1}:
        raise ConfigInvalid(
            f"{path}: job.folder: two jobs look for {', '.join('/'.join(one) for one in sorted(same))}, and only one can have a file; "
            "give each a pattern or a folder of its own"
        )
    base = path.parent.resolve()
    jobs = tuple(
        job.model_copy(update={"folder": job.folder.model_copy(update={"path": base / job.folder.path})}) if job.folder else job
        for job in found.job
    )
    return Config(agent=found.agent.model_copy(update={"state": base / found.agent.state}), job=jobs)


def _faults(wrong: ValidationError, document: dict[str, Any]) -> Iterator[str]:
    for fault in wrong.errors():
        place = list(fault["loc"])
        if place[:1] == ["job"] and len(place) > 1 and isinstance(place[1], int):
            place[1] = (
                f"({document['job'][place[1]].get('name', place[1] + 1)})" if isinstance(document["job"][place[1]], dict) else place[1]
            )
        yield f"{'.'.join(map(str, place)) or 'file'}: {fault['msg'].removeprefix('Value error, ')}"
