"""What is not about one noun: the dashboard, health, the API page."""

from typing import Any
from uuid import UUID

from sqlalchemy import update

from dxmesh_runtime.db import utc_now
from dxmesh_schemas.quality import Outcome
from exchange_svc.dashboard import figures
from exchange_svc.request.store import SharingRequest


async def test_the_dashboard_counts_what_happened(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.granted(resource)
    await exchange.accepted(resource.resource_id)
    await exchange.pushed(resource.resource_id)
    rejected = await exchange.pushed(resource.resource_id)
    await exchange.deliver(await exchange.assessment(rejected["batch_id"], Outcome.REJECT))
    await exchange.ask(await exchange.publish(standing_consent=None))
    extended = (await exchange.ask(await exchange.publish(standing_consent=None))).json()["request_id"]
    async with exchange.sessions.begin() as tx:
        await tx.execute(update(SharingRequest).where(SharingRequest.request_id == UUID(extended)).values(state="extended"))
    async with exchange.sessions() as tx:
        found = await figures(tx, utc_now(), organization_id=None)
    assert found["states"] == {"received": 1, "accepted": 1, "rejected": 1}
    assert found["today"] == found["total"] == {"received": 9, "accepted": 3, "quarantined": 0, "rejected": 3, "waiting": 3}
    assert (found["requests_waiting"], found["grants_active"], found["views_open"], found["in_flight"]) == (2, 1, 1, 1)
    page = await exchange.client.get("/dashboard", headers=exchange.tokens.issue(None, "operator"))
    assert page.status_code == 200
    assert "街道" in page.text
    assert rejected["batch_id"] in page.text


async def test_a_departments_operator_sees_its_own_figures_and_nothing_of_others(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.granted(resource)
    await exchange.accepted(resource.resource_id)
    foreign = await exchange.publish(provider=exchange.stranger, name="他人名录")
    await exchange.accepted(foreign.resource_id, by=exchange.stranger)
    await exchange.ask(await exchange.publish(standing_consent=None))
    names = ("total", "requests_waiting", "grants_active", "views_open", "in_flight", "clocks_owed")

    async def seen(who: Any) -> list[Any]:
        async with exchange.sessions() as tx:
            found = await figures(tx, utc_now(), organization_id=None if who is None else who.organization_id)
        return [found["total"]["accepted"], len(found["last"]), *(found[name] for name in names[1:])]

    assert await seen(None) == [6, 2, 1, 1, 1, 1, 1]
    assert await seen(exchange.provider) == [3, 1, 1, 1, 1, 1, 1]
    assert await seen(exchange.requester) == [0, 0, 1, 1, 1, 1, 0]
    assert await seen(exchange.stranger) == [3, 1, 0, 0, 0, 0, 0]
    for who, is_shown in ((exchange.provider, False), (exchange.stranger, True)):
        page = await exchange.client.get("/dashboard", headers=exchange.tokens.issue(who.organization_id, "operator"))
        assert ("他人名录" in page.text, "街道" in page.text) == (is_shown, not is_shown)


async def test_the_dashboard_is_for_operators(exchange: Any) -> None:
    assert (await exchange.client.get("/dashboard")).status_code == 303
    assert (await exchange.client.get("/dashboard", headers=exchange.steward(exchange.provider))).status_code == 303


async def test_an_empty_dashboard_is_a_page_too(exchange: Any) -> None:
    page = await exchange.client.get("/dashboard", headers=exchange.authority)
    assert page.status_code == 200


async def test_health_and_api_description_are_served(exchange: Any) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/docs"):
        assert (await exchange.client.get(path)).status_code == 200, path
    described = (await exchange.client.get("/openapi.json")).json()
    push = described["paths"]["/v1/resources/{resource_id}/batches/{batch_id}"]["put"]
    assert "text/csv" in push["requestBody"]["content"]
    assert {"200", "201", "400", "401", "404", "409", "413", "415", "422", "503"} <= set(push["responses"])
