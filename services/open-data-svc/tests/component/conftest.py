"""The service on a real PostgreSQL, a folder as object store, and real Delta tables in it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import httpx
import polars as pl
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from dxmesh_runtime.consumer import Handlers
from dxmesh_runtime.db import connect, uuid7
from dxmesh_runtime.settings import DashboardSettings, DatabaseSettings, KafkaSettings, ObjectStoreSettings
from dxmesh_runtime.testing import Tokens, deliver, make_app, outbox_events, serving
from dxmesh_schemas.catalog import DataItem, DataType, OpenType, OrganizationRef, ResourceSnapshot, SharingType, UpdateCycle
from dxmesh_schemas.catalog_events import ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange import BatchKind, TableAdvanced
from dxmesh_tabular import table
from dxmesh_tabular.store import ObjectStore
from dxmesh_tabular.table import FoldInput
from open_data_svc.app import create_app
from open_data_svc.dataset.consumers import handlers
from open_data_svc.settings import Settings

ITEMS = (
    DataItem(code="code", name="代码", data_type=DataType.TEXT, required=True),
    DataItem(code="name", name="名称", data_type=DataType.TEXT, description="街道全称"),
    DataItem(code="people", name="人数", data_type=DataType.INTEGER),
    DataItem(code="area", name="面积", data_type=DataType.NUMBER, scale=2),
    DataItem(code="since", name="设立日期", data_type=DataType.DATE),
    DataItem(code="seen", name="更新时间", data_type=DataType.DATETIME),
    DataItem(code="urban", name="是否城区", data_type=DataType.LOGICAL),
    DataItem(code="phone", name="联系电话", data_type=DataType.TEXT, data_level=3),
    DataItem(code="note", name="内部备注", data_type=DataType.TEXT, open_type=OpenType.CLOSED),
)
OPEN = ("code", "name", "people", "area", "since", "seen", "urban")


def streets(count: int, *, start: int = 0) -> pl.DataFrame:
    """Return rows of a table as a department sends them, in no order of their key."""
    numbers = pl.int_range(start, start + count, eager=True).reverse()
    return pl.DataFrame({"n": numbers}).select(
        code=pl.format("{}", pl.col("n") + 330_600_000),
        name=pl.format("街道 {}", pl.col("n")),
        people=(pl.col("n") * 7 % 1000).cast(pl.Int64),
        area=(pl.col("n") / 100).cast(pl.Decimal(38, 2)),
        since=pl.date(2001, 5, 1) + pl.duration(days=pl.col("n") % 365),
        seen=pl.datetime(2026, 1, 1, 8, 30, time_zone="UTC", time_unit="us"),
        urban=pl.col("n") % 2 == 0,
        phone=pl.format("1390000{}", pl.col("n")),
        note=pl.lit("内部"),
        row_=pl.int_range(1, count + 1, dtype=pl.UInt32),
    )


@dataclass
class OpenData:
    """The running service and what tests do with it."""

    app: FastAPI
    client: httpx.AsyncClient
    sessions: async_sessionmaker[AsyncSession]
    tokens: Tokens
    objects: ObjectStore
    handlers: Handlers
    settings: Settings
    sequences: dict[UUID, int] = field(default_factory=dict)
    items: tuple[DataItem, ...] = ITEMS
    open_codes: tuple[str, ...] = OPEN
    streets: Callable[..., pl.DataFrame] = streets

    def resource(self, **more: Any) -> ResourceSnapshot:
        """Return a resource that is open to the public without conditions."""
        fields: dict[str, Any] = {
            "resource_id": uuid7(),
            "version": 1,
            "resource_code": "307001/000123",
            "name": "全市街道名录",
            "summary": "各区县街道、乡镇的名称与代码。",
            "class_path": "基础/地名/区划/街道",
            "provider": OrganizationRef(organization_id=uuid7(), uscc="11330600MB1573660P", name="市民政局", division_code="330600"),
            "system_id": uuid7(),
            "items": ITEMS,
            "key": ("code",),
            "sharing_type": SharingType.UNCONDITIONAL,
            "open_type": OpenType.UNCONDITIONAL,
            "open_theme": "机构团体",
            "update_cycle": UpdateCycle.DAILY,
            "schema_url": "http://catalog.test/schema.json",
            "published_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        return ResourceSnapshot(**(fields | more))

    async def deliver(self, *events: Event) -> None:
        """Let each event take effect, through the inbox, in a transaction of its own."""
        for event in events:
            await deliver(self.sessions, self.handlers, event)

    async def publish(self, resource: ResourceSnapshot) -> ResourceSnapshot:
        """Let the catalogue publish a resource."""
        kind = ResourcePublished if resource.version == 1 else ResourceChanged
        await self.deliver(kind(resource_id=resource.resource_id, resource=resource))
        return resource

    async def withdraw(self, resource: ResourceSnapshot, reason: str = "merged") -> None:
        """Let the catalogue withdraw a resource."""
        await self.deliver(ResourceWithdrawn(resource_id=resource.resource_id, reason=reason, withdrawn_at=datetime.now(UTC)))

    def write(self, resource: ResourceSnapshot, rows: pl.DataFrame) -> TableAdvanced:
        """Fold a snapshot batch into the resource's table, as the exchange does, and return the event that tells of it."""
        sequence = self.sequences[resource.resource_id] = self.sequences.get(resource.resource_id, 0) + 1
        content = BytesIO()
        rows.write_parquet(content)
        batch = self.objects.put_bytes(f"batches/{resource.resource_id}/{sequence}/rows.parquet", content.getvalue())
        items = [item for item in resource.items if item.code in rows.columns]
        folded = table.fold(self.objects, resource.resource_id, items, resource.key, [FoldInput(sequence, BatchKind.SNAPSHOT, batch.key)])
        return TableAdvanced(
            resource_id=resource.resource_id,
            resource_version=resource.version,
            table_key=table.table_key(resource.resource_id),
            table_version=folded.version,
            sequence=folded.sequence,
            row_count=folded.row_count,
            advanced_at=datetime.now(UTC),
        )

    async def advance(self, resource: ResourceSnapshot, rows: pl.DataFrame) -> TableAdvanced:
        """Write the resource's table and let the event take effect."""
        event = self.write(resource, rows)
        await self.deliver(event)
        return event

    async def opened(self, rows: pl.DataFrame | None = None, **more: Any) -> ResourceSnapshot:
        """Return a resource that was published and has a first dataset version."""
        resource = await self.publish(self.resource(**more))
        await self.advance(resource, streets(20) if rows is None else rows)
        return resource

    async def events(self) -> list[Event]:
        """Return what the service has said so far."""
        return await outbox_events(self.sessions)

    async def action(self, action: str, status: int = 200, /, **parameters: Any) -> Any:
        """Call a CKAN action by POST; return its result, or its error."""
        answer = await self.client.post(f"/api/3/action/{action}", json=parameters)
        assert answer.status_code == status, answer.text
        body = answer.json()
        return body["result"] if status == 200 else body["error"]


@pytest.fixture
async def open_data(fresh_database: Callable[[str], Awaitable[str]], store_url: str) -> AsyncIterator[OpenData]:
    """Yield the service with an empty database and store."""
    tokens = Tokens()
    settings = Settings(
        database=DatabaseSettings(url=await fresh_database("open_data_svc")),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=tokens.auth_settings(),
        object_store=ObjectStoreSettings(url=store_url),
        dashboard=DashboardSettings(links={"open-data": "http://127.0.0.1:8104/dashboard"}),
    )
    database = connect(settings.database)
    objects = ObjectStore.open(store_url)
    app = make_app(create_app, settings)
    async with serving(app) as client:
        yield OpenData(app, client, database.sessions, tokens, objects, handlers(objects, keep_versions=3), settings)
    await database.close()
