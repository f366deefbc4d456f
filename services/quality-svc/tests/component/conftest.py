"""quality-svc on a real PostgreSQL and a real object store folder."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from dxmesh_runtime.consumer import Handlers
from dxmesh_runtime.db import connect
from dxmesh_runtime.settings import DatabaseSettings
from dxmesh_runtime.testing import deliver, outbox_events
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.catalog_events import ResourcePublished
from dxmesh_schemas.event import Event, Meta
from dxmesh_schemas.exchange import BatchKind, BatchReceived, ObjectRef, TableAdvanced
from dxmesh_schemas.quality import AssessmentCompleted
from dxmesh_tabular.items import REFUSED_SCHEMA
from dxmesh_tabular.store import ObjectStore
from dxmesh_tabular.table import FoldInput, fold, table_key
from quality_svc.assessment import consumers as assessments
from quality_svc.assessment.bench import Bench
from quality_svc.catalog import consumers as catalog

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@dataclass
class Quality:
    """The service under test: events go in, objects, rows and events come out."""

    url: str
    sessions: async_sessionmaker[AsyncSession]
    objects: ObjectStore
    folder: Path
    handlers: Handlers = field(init=False)

    def __post_init__(self) -> None:
        self.handlers = {**catalog.HANDLERS, **assessments.handlers(Bench(self.objects, self.folder, 64 * 1024**2))}

    async def take(self, *events: Event, event_id: UUID | None = None) -> Meta:
        """Let events take effect in one transaction."""
        return await deliver(self.sessions, self.handlers, *events, event_id=event_id)

    async def publish(self, *resources: ResourceSnapshot) -> None:
        """Let resources be published."""
        for resource in resources:
            await self.take(ResourcePublished(resource_id=resource.resource_id, resource=resource))

    async def completed(self) -> list[AssessmentCompleted]:
        """Return the events that came out."""
        found = [event for event in await outbox_events(self.sessions) if isinstance(event, AssessmentCompleted)]
        assert len(found) == len(await outbox_events(self.sessions))
        return found

    def read(self, ref: ObjectRef | None) -> pl.DataFrame:
        """Return an object's rows, after checking that the reference tells the truth."""
        assert ref is not None
        content = self.objects.get_bytes(ref.key)
        assert hashlib.sha256(content).hexdigest() == ref.sha256
        assert len(content) == ref.byte_count
        frame = pl.read_parquet(content)
        assert frame.height == ref.row_count
        return frame

    def received(
        self,
        resource: ResourceSnapshot,
        rows: pl.DataFrame,
        *,
        refused: list[tuple[int, str | None, str]] | None = None,
        kind: BatchKind = BatchKind.APPEND,
        **wrong: Any,
    ) -> BatchReceived:
        """Put a batch's objects and return the event that tells of them."""
        batch_id = uuid4()
        lines = [(row, item, rule, "cannot be read", None, "{}") for row, item, rule in refused or []]
        frame = pl.DataFrame(lines, schema=REFUSED_SCHEMA, orient="row")
        refused_rows = frame["row"].n_unique()
        event = {
            "resource_id": resource.resource_id,
            "batch_id": batch_id,
            "resource_version": resource.version,
            "provider": resource.provider,
            "kind": kind,
            "received_at": AT,
            "body_sha256": "0" * 64,
            "body_byte_count": 1,
            "media_type": "text/csv",
            "received_count": rows.height + refused_rows,
            "rows": self.put(f"batches/{resource.resource_id}/{batch_id}/rows.parquet", rows),
            "refused": self.put(f"batches/{resource.resource_id}/{batch_id}/refused.parquet", frame) if lines else None,
            "refused_row_count": refused_rows,
        }
        return BatchReceived.model_validate({**event, **wrong})

    def put(self, key: str, frame: pl.DataFrame) -> ObjectRef:
        """Put a frame as a Parquet object."""
        path = self.folder.parent / f"{uuid4()}.parquet"
        frame.write_parquet(path)
        return self.objects.put_file(key, path, row_count=frame.height)

    async def advance(self, resource: ResourceSnapshot, rows: pl.DataFrame, sequence: int = 1) -> TableAdvanced:
        """Fold an accepted batch into a resource's table, and tell of it."""
        ref = self.put(f"batches/{resource.resource_id}/{uuid4()}/rows.parquet", rows)
        state = fold(self.objects, resource.resource_id, resource.items, resource.key, [FoldInput(sequence, BatchKind.APPEND, ref.key)])
        event = TableAdvanced(
            resource_id=resource.resource_id,
            resource_version=resource.version,
            table_key=table_key(resource.resource_id),
            table_version=state.version,
            sequence=state.sequence,
            row_count=state.row_count,
            advanced_at=AT,
        )
        await self.take(event)
        return event


@pytest.fixture
async def quality(fresh_database: Callable[[str], Awaitable[str]], store_url: str, tmp_path: Path) -> AsyncIterator[Quality]:
    """Yield the service on an empty database and an empty store."""
    url = await fresh_database("quality_svc")
    database = connect(DatabaseSettings(url=url))
    yield Quality(url, database.sessions, ObjectStore.open(store_url), tmp_path / "under-way")
    await database.close()
