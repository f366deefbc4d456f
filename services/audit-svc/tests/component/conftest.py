"""A log on a real database: its settings, its sessions, its app, and events to record."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from audit_svc import worker
from audit_svc.app import create_app
from audit_svc.checkpoint.commands import Pace
from audit_svc.checkpoint.domain import Signer
from audit_svc.ledger.consumers import HANDLERS
from audit_svc.log.consumers import recorder
from audit_svc.settings import LogSettings, Settings
from dxmesh_runtime import signing
from dxmesh_runtime.consumer import Incoming
from dxmesh_runtime.db import Database, connect
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings, SigningSettings
from dxmesh_runtime.testing import Tokens, deliver, make_app, serving
from dxmesh_schemas.event import Event, Meta

ORIGIN = "dxmesh.example/test"


@dataclass(frozen=True)
class Log:
    """A log under test."""

    settings: Settings
    database: Database
    signer: Signer
    pace: Pace

    @property
    def sessions(self) -> async_sessionmaker[AsyncSession]:
        return self.database.sessions

    async def record(self, *events: Event | Incoming, consumer: str = "audit", pace: Pace | None = None) -> Meta:
        """Record events in one transaction, as the loop does."""
        return await deliver(self.sessions, HANDLERS, *events, consumer=consumer, every=recorder(self.signer, pace or self.pace))

    async def record_many(self, *events: Event | Incoming, size: int = 500) -> None:
        """Record events in groups, and sign what they came to."""
        for at in range(0, len(events), size):
            await self.record(*events[at : at + size])
        await worker.sign_once(self.database, self.signer, Pace(1e-6, 1e-6))


@pytest.fixture(scope="session")
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
async def log(fresh_database, tokens, tmp_path: Path) -> AsyncIterator[Log]:
    key_file = tmp_path / "log.pem"
    key = signing.create_key(key_file)
    settings = Settings(
        database=DatabaseSettings(url=await fresh_database("audit_svc")),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=tokens.auth_settings(),
        signing=SigningSettings(key_file=key_file),
        log=LogSettings(origin=ORIGIN),
    )
    database = connect(settings.database)
    yield Log(settings, database, Signer(ORIGIN, key), Pace(1e-6, 1e-6))
    await database.close()


@pytest.fixture
async def client(log: Log) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(make_app(create_app, log.settings)) as client:
        yield client


@pytest.fixture
def auditor(tokens: Tokens) -> dict[str, str]:
    return tokens.issue(None, "auditor")


@pytest.fixture
def steward(tokens: Tokens):
    return lambda organization_id: tokens.issue(UUID(str(organization_id)), "steward")
