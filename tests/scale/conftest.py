"""A catalogue of a city's size in a running catalog-svc."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks import catalog_t5
from catalog_svc.app import create_app
from catalog_svc.settings import Settings
from dxmesh_runtime.db import connect
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings
from dxmesh_runtime.testing import Tokens, serving

KEEPER = ("steward", "cdo", "authority")


@dataclass
class City:
    """The service with the whole catalogue in it, and ways to ask it."""

    client: httpx.AsyncClient
    sessions: async_sessionmaker[AsyncSession]
    tokens: Tokens
    organizations: dict[str, str]  # uscc → id

    @property
    def authority(self) -> dict[str, str]:
        return self.tokens.issue(None, "authority")

    def keeper(self, uscc: str) -> dict[str, str]:
        return self.tokens.issue(UUID(self.organizations[uscc]), *KEEPER)


async def enter(city: City) -> None:
    """Register publishers and systems, then import every resource up to publication."""
    lines: dict[str, list[str]] = {publisher.uscc: [] for publisher in catalog_t5.publishers()}
    for publisher, entry in catalog_t5.resources():
        lines[publisher.uscc].append(json.dumps(entry | {"assessments": catalog_t5.ASSESSMENTS}, ensure_ascii=False))
    for publisher in catalog_t5.publishers():
        made = await city.client.post("/v1/organizations", json=publisher.registration(), headers=city.authority)
        assert made.status_code == 201, made.text
        city.organizations[publisher.uscc] = made.json()["organization_id"]
        keeper = city.keeper(publisher.uscc)
        for system in publisher.systems:
            assert (await city.client.post("/v1/systems", json={"name": system}, headers=keeper)).status_code == 201
        answer = await city.client.post(
            "/v1/resources/import",
            params={"until": "published"},
            content="\n".join(lines[publisher.uscc]).encode(),
            headers=keeper | {"Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == 200, answer.text
        counts: dict[str, Any] = answer.json()["counts"]
        assert counts["entered"] == len(lines[publisher.uscc]), [one for one in answer.json()["rows"] if one["errors"]][:3]


@pytest.fixture(scope="session")
async def city(lasting_database: Callable[[str], Awaitable[str]]) -> AsyncIterator[City]:
    """Yield a catalog-svc that holds the whole catalogue, published."""
    tokens = Tokens()
    settings = Settings(
        database=DatabaseSettings(url=await lasting_database("catalog_svc")),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=tokens.auth_settings(),
    )
    database = connect(settings.database)
    async with serving(create_app(settings), timeout=300) as client:
        found = City(client, database.sessions, tokens, {})
        begun = time.perf_counter()
        await enter(found)
        print(f"\nentered and published in {time.perf_counter() - begun:.1f} s")
        yield found
    await database.close()
