"""A running catalogue on a fresh database, and the few things most tests begin with."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from catalog_svc.app import create_app
from catalog_svc.organization.domain import check_uscc
from catalog_svc.settings import BootstrapSettings, Settings
from catalog_svc.token import issuer as token_issuer
from dxmesh_runtime import signing
from dxmesh_runtime.db import connect, utc_now
from dxmesh_runtime.settings import AuthSettings, DatabaseSettings, KafkaSettings, ServerSettings, SigningSettings
from dxmesh_runtime.testing import make_app, outbox_events, serving
from dxmesh_schemas.event import Event

ISSUER = "http://catalog.test"
ASSESSED = {
    "secrecy_risk": {"outcome": "passed", "assessed_by": "保密办"},
    "personal_information": {"outcome": "none", "assessed_by": "法规处"},
}
BOOTSTRAP_ID, BOOTSTRAP_SECRET = "node-admin", "a-secret-of-the-first-client"


def make_uscc(number: int) -> str:
    """Return the number-th unified social credit code of a made-up registry, both check characters right."""
    body = f"11330600{number:08d}"
    for inner, last in itertools.product("0123456789X", "0123456789ABCDEFGHJKLMNPQRTUWXY"):
        try:
            return check_uscc(body + inner + last)
        except ValueError:
            continue
    raise AssertionError("one pair of check characters is right")


@dataclass
class Node:
    """A running catalog-svc and ways to act on it."""

    client: httpx.AsyncClient
    sessions: async_sessionmaker[AsyncSession]
    issuer: token_issuer.Issuer
    settings: Settings
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    organization_made: dict[str, Any] = field(default_factory=dict)
    system_made: dict[str, Any] = field(default_factory=dict)

    def headers(self, organization_id: UUID | str | None, *roles: str) -> dict[str, str]:
        """Return the header of a client of that organization with those roles."""
        organization = UUID(str(organization_id)) if organization_id is not None else None
        token = self.issuer.sign(client_id="test-client", organization_id=organization, roles=roles, now=utc_now())
        return {"Authorization": f"Bearer {token}"}

    @property
    def authority(self) -> dict[str, str]:
        """Return the header of the data authority."""
        return self.headers(None, "authority")

    def steward(self, organization: dict[str, Any]) -> dict[str, str]:
        """Return the header of a steward of an organization."""
        return self.headers(organization["organization_id"], "steward")

    def cdo(self, organization: dict[str, Any]) -> dict[str, str]:
        """Return the header of a chief data officer of an organization."""
        return self.headers(organization["organization_id"], "cdo")

    async def organization(self, name: str = "绍兴市民政局", **changes: Any) -> dict[str, Any]:
        """Register an organization."""
        body = {"uscc": make_uscc(next(self.numbers)), "name": name, "level": "city", "division_code": "330600"} | changes
        return await self.made("/v1/organizations", body, self.authority)

    async def system(self, organization: dict[str, Any], name: str = "婚姻登记系统", **changes: Any) -> dict[str, Any]:
        """Register a system of an organization, on the government cloud."""
        return await self.made("/v1/systems", {"name": name, "on_gov_cloud": True} | changes, self.steward(organization))

    async def provider(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Register an organization with a system."""
        organization = await self.organization()
        return organization, await self.system(organization)

    async def resource(self, organization: dict[str, Any], system: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Enter a draft."""
        return await self.made("/v1/resources", entry(system, **changes), self.steward(organization))

    async def published(self, organization: dict[str, Any], system: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Enter a resource and publish it."""
        draft = await self.resource(organization, system, **changes)
        return await self.put_in_force(draft)

    async def put_in_force(self, draft: dict[str, Any], until: str = "publish", **body: Any) -> dict[str, Any]:
        """Submit, approve and publish a draft, or as far as said; `body` goes with the last."""
        made = draft
        for what, headers in (
            ("submission", self.steward(draft["provider"])),
            ("approval", self.cdo(draft["provider"])),
            ("publish", self.authority),
        ):
            given = (ASSESSED if what == "approval" else {}) | (body if what == until else {})
            answer = await self.client.post(f"/v1/resources/{draft['resource_id']}/{what}", json=given, headers=headers)
            assert answer.status_code == 200, answer.text
            made = answer.json()
            if what == until:
                break
        return made

    async def made(self, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
        """POST and expect 201."""
        answer = await self.client.post(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def events(self) -> list[Event]:
        """Return what the outbox holds."""
        return await outbox_events(self.sessions)


def entry(system: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a good entry of a resource, changed as asked; a change to ... takes the field out."""
    body = {
        "system_id": system["system_id"],
        "name": "街道办事处名录",
        "summary": "全市街道的代码和名称",
        "class_path": "3/30/102/01",
        "items": [
            {"code": "street_code", "name": "街道代码", "data_type": "C", "length": 9, "format": "division"},
            {"code": "street_name", "name": "街道名称", "data_type": "C", "length": 60, "required": True},
            {"code": "households", "name": "户数", "data_type": "I", "minimum": 0},
        ],
        "key": ["street_code"],
        "update_cycle": "MONTHLY",
        "steward": "区划地名科数据管理员",
    } | changes
    return {name: value for name, value in body.items() if value is not ...}


def item(code: str = "extra", **changes: Any) -> dict[str, Any]:
    """Return an item for a resource's entry."""
    return {"code": code, "name": f"项 {code}", "data_type": "C"} | changes


async def make_settings(database_of: Any, folder: Path) -> Settings:
    """Return settings on a fresh database with a fresh key."""
    key_file = folder / "catalog.pem"
    signing.create_key(key_file)
    return Settings(
        database=DatabaseSettings(url=await database_of("catalog_svc")),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=AuthSettings(issuer=ISSUER),
        server=ServerSettings(public_url=ISSUER),
        signing=SigningSettings(key_file=key_file),
        bootstrap=BootstrapSettings(client_id=BOOTSTRAP_ID, client_secret=BOOTSTRAP_SECRET),
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Node]:
    """Run a catalogue."""
    assert settings.signing is not None
    issuer = token_issuer.make(signing.load_key(settings.signing.key_file), url=ISSUER, audience="dxmesh", lifetime_seconds=900)
    database = connect(settings.database)
    async with serving(make_app(create_app, settings)) as client:
        yield Node(client, database.sessions, issuer, settings)
    await database.close()


@pytest.fixture
async def node(fresh_database: Any, tmp_path: Path) -> AsyncIterator[Node]:
    """Yield a running, empty catalogue."""
    async with running(await make_settings(fresh_database, tmp_path)) as node:
        yield node


@pytest.fixture(scope="module")
async def strict_node(lasting_database: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    """Yield a catalogue with a provider, its system and a code set, shared by the tests that send it what it must refuse."""
    async with running(await make_settings(lasting_database, tmp_path_factory.mktemp("strict"))) as node:
        node.organization_made, node.system_made = await node.provider()
        codes = await node.client.put("/v1/code-sets/codes", json={"title": "码", "codes": ["1"]}, headers=node.authority)
        assert codes.status_code == 201
        yield node


@pytest.fixture
def good_entry() -> Any:
    """Return the function that makes a good entry."""
    return entry


@pytest.fixture
def good_item() -> Any:
    """Return the function that makes a good item."""
    return item


@pytest.fixture
def make_code() -> Any:
    """Return the function that makes unified social credit codes."""
    return make_uscc


def problem(answer: httpx.Response, status: int, slug: str | None = None) -> dict[str, Any]:
    """Assert that an answer is a problem of that status and slug; return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["detail"]
    if slug is not None:
        assert body["type"].rsplit("/", 1)[-1] == slug, body
    return body


@pytest.fixture
def is_problem() -> Any:
    """Return the check of a problem answer."""
    return problem
