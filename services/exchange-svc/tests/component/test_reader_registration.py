"""Readers as they are registered: by whom, how many, and who sees them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from dxmesh_local.kafka import SECURITY_PROTOCOL, SUPER_USER_MECHANISM
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.reader import domain, store


@pytest.fixture(scope="session")
def kafka_settings() -> KafkaSettings:
    """A broker that has users, and that nothing here connects to."""
    return KafkaSettings(
        bootstrap_servers="127.0.0.1:1",
        security_protocol=SECURITY_PROTOCOL,
        sasl_mechanism=SUPER_USER_MECHANISM,
        sasl_username="node",
        sasl_password="secret",
    )


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/"),
        ({"name": "Großes Amt"}, "/name"),
        ({"name": "a.b"}, "/name"),
        ({"name": "x", "topics": ["*"]}, "/topics"),
        ({"system_id": "none"}, "/system_id"),
    ],
)
async def test_a_wrong_registration_is_refused_by_its_field(exchange: Any, body: Any, pointer: str) -> None:
    answer = await exchange.client.post("/v1/readers", json=body, headers=exchange.steward(exchange.requester))
    assert answer.status_code == 422
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}, answer.text


async def test_readers_belong_to_their_organization_and_its_steward(exchange: Any) -> None:
    mine, stranger = exchange.steward(exchange.requester), exchange.steward(exchange.stranger)
    made = await exchange.client.post("/v1/readers", json={"name": "a"}, headers=mine)
    twice = await exchange.client.post("/v1/readers", json={"name": "a"}, headers=mine)
    assert (made.status_code, twice.status_code) == (201, 409)
    assert twice.json()["type"].endswith("/reader-exists")
    system_id = str(uuid4())
    by_system = await exchange.client.post("/v1/readers", json={"system_id": system_id}, headers=mine)
    assert by_system.json()["name"] == system_id
    path = f"/v1/readers/{made.json()['reader_id']}"
    unknown = f"/v1/readers/{uuid4()}"
    for call, headers in (("get", stranger), ("post", stranger), ("delete", stranger), ("post", mine), ("delete", mine)):
        at = unknown if headers is mine else path
        answer = await exchange.client.request(call, f"{at}/rotation" if call == "post" else at, headers=headers)
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (404, "reader-not-found"), call
    plain = exchange.tokens.issue(exchange.requester.organization_id, "cdo")
    assert (await exchange.client.post("/v1/readers", json={"name": "b"}, headers=plain)).status_code == 403
    assert (await exchange.client.get("/v1/readers", headers=stranger)).json()["items"] == []
    assert len((await exchange.client.get("/v1/readers", headers=exchange.authority)).json()["items"]) == 2


async def test_two_registrations_at_once_do_not_pass_the_limit_together(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "MOST_READERS", 1)
    headers = exchange.steward(exchange.requester)
    async with exchange.sessions.begin() as first:
        assert await store.count_unrevoked(first, exchange.requester.organization_id) == 0
        other = exchange.client.post("/v1/readers", json={"name": "a"}, headers=exchange.steward(exchange.stranger))
        assert (await other).status_code == 201, "another organization waits for nobody"
        second = asyncio.create_task(exchange.client.post("/v1/readers", json={"name": "b"}, headers=headers))
        done, _ = await asyncio.wait({second}, timeout=0.5)
        assert not done, "the second counts once the first has registered"
    assert (await second).status_code == 201
    refused = await exchange.client.post("/v1/readers", json={"name": "c"}, headers=headers)
    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[1]) == (409, "too-many-readers")
