"""The service on a real PostgreSQL with a folder as object store, two departments and the events that make them known."""

import asyncio
import base64
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Request
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from typer.testing import CliRunner

from dxmesh_client.cli import app as dxmesh
from dxmesh_client.cli.output import Mode
from dxmesh_runtime import signing
from dxmesh_runtime.consumer import Handlers
from dxmesh_runtime.db import connect, utc_now, uuid7
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings, ObjectStoreSettings, SigningSettings
from dxmesh_runtime.testing import Tokens, deliver, listening, make_app, outbox_events, serving
from dxmesh_schemas.catalog import (
    DataItem,
    DataType,
    Level,
    OpenType,
    OrganizationKind,
    OrganizationRef,
    ResourceSnapshot,
    SharingType,
    StandingConsent,
    UpdateCycle,
)
from dxmesh_schemas.catalog_events import OrganizationRegistered, ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange import BatchAccepted, BatchReceived
from dxmesh_schemas.quality import AssessmentCompleted, Outcome
from dxmesh_tabular.store import ObjectStore
from exchange_svc.app import create_app
from exchange_svc.batch import consumers as batches
from exchange_svc.catalog import consumers as catalog
from exchange_svc.grant.store import Grant
from exchange_svc.settings import LimitsSettings, ProxySettings, Settings, StagingSettings, StreamsSettings, UploadsSettings
from exchange_svc.sharing_list import consumers as lists
from exchange_svc.subscription.settings import SubscriptionsSettings
from exchange_svc.table import consumers as tables

HANDLERS: Handlers = {**catalog.HANDLERS, **batches.HANDLERS, **lists.HANDLERS}
ITEMS = (
    DataItem(code="code", name="代码", data_type=DataType.TEXT, required=True),
    DataItem(code="name", name="名称", data_type=DataType.TEXT, required=True),
    DataItem(code="people", name="人数", data_type=DataType.INTEGER),
    DataItem(code="since", name="设立日期", data_type=DataType.DATE),
)
CSV = "code,name,people,since\n330602001,塔山街道,81234,2001-05-01\n330602002,府山街道,,\n330602003,北海街道,55000,1999-12-31\n".encode()


def organization(name: str) -> OrganizationRef:
    return OrganizationRef(organization_id=uuid7(), uscc="11330600MB1573660P", name=name, division_code="330600")


@dataclass
class Exchange:
    """The running service and what tests do with it."""

    app: FastAPI
    client: httpx.AsyncClient
    sessions: async_sessionmaker[AsyncSession]
    tokens: Tokens
    objects: ObjectStore
    staging: Path
    url: str
    provider: OrganizationRef
    requester: OrganizationRef
    stranger: OrganizationRef

    def steward(self, who: OrganizationRef) -> dict[str, str]:
        return self.tokens.issue(who.organization_id, "steward")

    @property
    def authority(self) -> dict[str, str]:
        return self.tokens.issue(None, "authority")

    async def deliver(self, *events: Event) -> None:
        for event in events:
            await deliver(self.sessions, HANDLERS, event)

    async def publish(self, **changes: Any) -> ResourceSnapshot:
        fields: dict[str, Any] = {
            "resource_id": uuid7(),
            "version": 1,
            "resource_code": "330600-1",
            "name": "街道",
            "summary": "",
            "class_path": "1",
            "provider": self.provider,
            "system_id": UUID(int=3),
            "items": ITEMS,
            "key": ("code",),
            "sharing_type": SharingType.UNCONDITIONAL,
            "open_type": OpenType.CLOSED,
            "update_cycle": UpdateCycle.DAILY,
            "schema_url": "https://mesh.example/schema.json",
            "published_at": datetime(2026, 11, 1, tzinfo=UTC),
            "standing_consent": StandingConsent(approved_by="信息中心主任", approved_at=datetime(2026, 10, 1, tzinfo=UTC)),
        }
        snapshot = ResourceSnapshot(**fields | changes)
        kind = ResourcePublished if snapshot.version == 1 else ResourceChanged
        await self.deliver(kind(resource_id=snapshot.resource_id, resource=snapshot))
        return snapshot

    async def withdraw(self, resource: ResourceSnapshot) -> None:
        await self.deliver(ResourceWithdrawn(resource_id=resource.resource_id, reason="merged", withdrawn_at=utc_now()))

    async def push(
        self, resource_id: object, body: Any = CSV, *, batch_id: object = None, by: OrganizationRef | None = None, **options: Any
    ) -> httpx.Response:
        headers = self.steward(by or self.provider) | {"Content-Type": "text/csv"} | options.pop("headers", {})
        params = options.pop("params", {})
        path = f"/v1/resources/{resource_id}/batches/{batch_id or uuid7()}"
        return await self.client.put(path, content=body, headers={k: v for k, v in headers.items() if v is not None}, params=params)

    async def pushed(self, resource_id: object, body: bytes = CSV, **options: Any) -> dict[str, Any]:
        answer = await self.push(resource_id, body, **options)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def outbox(self) -> list[Event]:
        return await outbox_events(self.sessions)

    async def received(self, batch_id: str) -> BatchReceived:
        return next(e for e in await self.outbox() if isinstance(e, BatchReceived) and str(e.batch_id) == batch_id)

    async def assessment(self, batch_id: str, outcome: Outcome = Outcome.ACCEPT, **changes: Any) -> AssessmentCompleted:
        """Return an assessment of a batch as quality-svc would send it: all rows good unless told otherwise."""
        event = await self.received(batch_id)
        fields: dict[str, Any] = {
            "assessment_id": uuid7(),
            "resource_id": event.resource_id,
            "resource_version": event.resource_version,
            "batch_id": event.batch_id,
            "outcome": outcome,
            "reason": "checked",
            "received_count": event.received_count,
            "quarantined_count": event.refused_row_count,
            "accepted": event.rows,
            "quarantine": event.refused,
            "completed_at": utc_now(),
        }
        return AssessmentCompleted(**fields | changes)

    async def accept(self, batch_id: str) -> None:
        await self.deliver(await self.assessment(batch_id))

    async def accepted(self, resource_id: object, body: bytes = CSV, **options: Any) -> dict[str, Any]:
        batch = await self.pushed(resource_id, body, **options)
        await self.accept(batch["batch_id"])
        return batch

    async def fold(self) -> None:
        """Fold every accepted batch into its resource's table, as the worker does."""
        for event in await self.outbox():
            if isinstance(event, BatchAccepted):
                await deliver(self.sessions, tables.handlers(self.objects), event, consumer="exchange-table")

    async def ask(self, resource: ResourceSnapshot, *, by: OrganizationRef | None = None, **changes: Any) -> httpx.Response:
        body = {
            "resource_id": str(resource.resource_id),
            "legal_basis": "政务数据共享条例第二十条",
            "scenario": "老年人优待证",
            "purpose": "核对居住街道",
            "approved_by": "民政局局长",
        }
        headers = self.steward(by or self.requester) | {"Content-Type": "application/json"}
        return await self.client.post("/v1/requests", content=json.dumps(body | changes), headers=headers)

    async def granted(self, resource: ResourceSnapshot, **options: Any) -> dict[str, Any]:
        """Ask, and return the grant that the standing consent gave at once."""
        answer = await self.ask(resource, **options)
        assert answer.status_code == 201, answer.text
        who = self.steward(options.get("by") or self.requester)
        grant: dict[str, Any] = (await self.client.get(f"/v1/grants/{answer.json()['grant_id']}", headers=who)).json()
        return grant

    async def expire(self, grant_id: str) -> None:
        """Let a grant's time be over."""
        async with self.sessions.begin() as tx:
            await tx.execute(update(Grant).where(Grant.grant_id == UUID(grant_id)).values(use_until=utc_now() - timedelta(seconds=1)))

    def keys(self) -> set[str]:
        """Return the keys of every object in the store."""
        root = Path(self.objects.uri("x")).parent
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    def left_in_staging(self) -> list[Path]:
        return [path for path in self.staging.glob("*/*") if path.name != "lock"]


@pytest.fixture
def kafka_settings() -> KafkaSettings:
    """Return what the service is told of Kafka; a module that needs a broker gives its own."""
    return KafkaSettings(bootstrap_servers="127.0.0.1:1")


@pytest.fixture
async def exchange(
    fresh_database: Callable[[str], Awaitable[str]], store_url: str, tmp_path: Path, kafka_settings: KafkaSettings
) -> AsyncIterator[Exchange]:
    """Yield the service: migrated database, folder store, two departments known."""
    tokens = Tokens()
    signing.create_key(tmp_path / "node.pem")
    url = await fresh_database("exchange_svc")
    settings = Settings(
        database=DatabaseSettings(url=url),
        kafka=kafka_settings,
        auth=tokens.auth_settings(),
        object_store=ObjectStoreSettings(url=store_url),
        signing=SigningSettings(key_file=tmp_path / "node.pem"),
        staging=StagingSettings(folder=tmp_path / "staging"),
        limits=LimitsSettings(body_max_bytes=1_500_000, inflated_max_bytes=4_000_000),
        subscriptions=SubscriptionsSettings(allowed_networks=("127.0.0.0/8",), answer_seconds=10.0),
        uploads=UploadsSettings(max_open_bytes=4_000_000),
        streams=StreamsSettings(max_open_each=10),
        proxy=ProxySettings(allowed_networks=("127.0.0.0/8",)),
    )
    app = make_app(create_app, settings)
    database = connect(settings.database)
    async with serving(app) as client:
        found = Exchange(
            app,
            client,
            database.sessions,
            tokens,
            ObjectStore.open(store_url),
            tmp_path / "staging",
            url,
            organization("绍兴市民政局"),
            organization("绍兴市卫生健康委员会"),
            organization("绍兴市水利局"),
        )
        for one in (found.provider, found.requester, found.stranger):
            event = OrganizationRegistered(**one.model_dump(), level=Level.CITY, kind=OrganizationKind.DEPARTMENT)
            await found.deliver(event)
        yield found
    await database.close()


@pytest.fixture
async def cli(exchange: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Yield the command line as one of the parties uses it; it answers with what was printed as JSON."""
    departments = (("provider", exchange.provider), ("requester", exchange.requester), ("stranger", exchange.stranger))
    parties = {"authority": None, **{name: one.organization_id for name, one in departments}}
    issuer = FastAPI()

    @issuer.post("/oauth/token")
    async def issue(request: Request) -> dict[str, Any]:
        name = base64.b64decode(request.headers["authorization"].split()[1]).decode().partition(":")[0]
        role = "authority" if name == "authority" else "steward"
        return {"access_token": exchange.tokens.token(parties[name], role), "expires_in": 600}

    async with listening(issuer) as issuing, listening(exchange.app) as url:
        monkeypatch.setattr(Mode, "json", False)  # given back as it was

        async def run(party: str, *arguments: str) -> Any:
            profile = dict.fromkeys(("catalog", "quality", "open_data", "audit"), issuing) | {"exchange": url}
            (tmp_path / "profile.json").write_text(json.dumps(profile | {"client_id": party, "client_secret": "x"}), encoding="utf-8")
            monkeypatch.setenv("DXMESH_PROFILE", str(tmp_path / "profile.json"))
            answer = await asyncio.to_thread(CliRunner().invoke, dxmesh, ["--json", *arguments])
            if answer.exception is not None:
                raise answer.exception
            return json.loads(answer.stdout)

        yield run


class Service:
    """The service as a process of its own, at one address however often it is started."""

    def __init__(self, exchange: Any, store_url: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        auth = exchange.tokens.auth_settings()
        self.environment = os.environ | {
            "DATABASE__URL": exchange.url,
            "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "AUTH__ISSUER": auth.issuer,
            "AUTH__JWKS": auth.jwks,
            "OBJECT_STORE__URL": store_url,
            "SIGNING__KEY_FILE": str(folder / "node.pem"),
            "STAGING__FOLDER": str(folder / "apart"),
            "SERVER__PORT": str(self.port),
        }
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = (sys.executable, "-m", "exchange_svc", "api")
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(*command, env=self.environment, stdout=quiet, stderr=quiet)
        async with asyncio.timeout(30), httpx.AsyncClient() as http:
            while True:
                assert self._process.returncode is None, "the service ended before it listened"
                try:
                    await http.get(self.url + "/livez")
                    return
                except httpx.TransportError:
                    await asyncio.sleep(0.05)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@pytest.fixture
async def service(exchange: Any, store_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    found = Service(exchange, store_url, tmp_path)
    await found.start()
    yield found
    await found.kill()
