"""The events of open-data-svc."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from dxmesh_schemas.event import Event


class DatasetEvent(Event):
    """Something happened to an open dataset."""

    TOPIC: ClassVar[str] = "dxmesh.open.dataset"
    KEY: ClassVar[str] = "dataset_id"
    SOURCE: ClassVar[str] = "/open-data-svc"
    dataset_id: UUID
    resource_id: UUID
    name: str


class DatasetVersionEvent(DatasetEvent):
    """A dataset has a new version, made from one version of the resource's table."""

    version: int
    table_version: int
    sequence: int
    row_count: int
    items: tuple[str, ...]
    published_at: datetime


class DatasetPublished(DatasetVersionEvent):
    """The first version of a dataset is open to the public."""

    TYPE: ClassVar[str] = "dxmesh.open.dataset.published.v1"


class DatasetRefreshed(DatasetVersionEvent):
    """A later version of a dataset is open to the public."""

    TYPE: ClassVar[str] = "dxmesh.open.dataset.refreshed.v1"


class DatasetRetired(DatasetEvent):
    """A dataset is open no longer."""

    TYPE: ClassVar[str] = "dxmesh.open.dataset.retired.v1"
    reason: str
    retired_at: datetime
