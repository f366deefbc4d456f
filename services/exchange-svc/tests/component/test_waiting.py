"""Requests that wait: granted once their scenario covers them, and each with the deadline it would have had from the beginning."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, update

from dxmesh_clocks.policy import regulation
from dxmesh_clocks.working_days import add, day_of
from dxmesh_runtime.db import connect, utc_now
from dxmesh_runtime.settings import DatabaseSettings
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.exchange import GrantActivated, RequestGranted
from exchange_svc.clock.store import Clock
from exchange_svc.offer import commands as offers
from exchange_svc.request import waiting
from exchange_svc.request.store import SharingRequest

from .test_scenarios import AUTHORITY, CONDITIONAL, again, ask, said, scenario

POLICY = regulation()
URL = "https://mesh.example"


async def in_tx(exchange: Any, do: Callable[[Any], Awaitable[Any]]) -> Any:
    async with exchange.sessions.begin() as tx:
        return await do(tx)


async def looked(exchange: Any, days: int = 0) -> int:
    """Look at everything that waits; return at how many."""
    count = 0
    while count < 10 and await in_tx(
        exchange, lambda tx: waiting.grant_covered(tx, POLICY, public_url=URL, now=utc_now() + timedelta(days=days))
    ):
        count += 1
    return count


async def shown(exchange: Any, request_id: str) -> Any:
    return (await exchange.client.get(f"/v1/requests/{request_id}", headers=exchange.authority)).json()


async def clock_of(exchange: Any, request_id: str) -> Any:
    found = (await exchange.client.get(f"/v1/clocks?request={request_id}", headers=exchange.authority)).json()["items"]
    [answer] = [one for one in found if one["rule"] == "request_conditional"]
    return answer


async def test_a_request_that_waits_is_granted_when_its_scenario_is_approved(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id, approvals=(AUTHORITY,))
    await exchange.deliver(entry)
    request_id = (await ask(exchange, resource, entry)).json()["request_id"]
    other = (await exchange.ask(resource)).json()["request_id"]
    assert (await looked(exchange), await looked(exchange)) == (1, 0), "once for each state of the scenario"
    assert "has not approved" in (await shown(exchange, request_id))["scenario_note"]
    await exchange.deliver(again(entry, approvals=scenario(exchange, resource.resource_id).approvals))
    assert await looked(exchange) == 1
    request = await shown(exchange, request_id)
    assert (request["state"], request["decided_by"], request["scenario_note"]) == ("granted", "民政局首席数据官", None)
    assert (await clock_of(exchange, request_id))["standing"] == "met"
    [granted] = await said(exchange, RequestGranted)
    assert (granted.scenario_id, len(await said(exchange, GrantActivated))) == (entry.entry_id, 1)
    assert (await shown(exchange, other))["state"] == "under_review", "it names no scenario"


async def test_a_scenario_that_begins_with_a_day_grants_from_that_day_on(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id, terms={"valid_from": day_of(utc_now()) + timedelta(days=2)})
    await exchange.deliver(entry)
    request_id = (await ask(exchange, resource, entry)).json()["request_id"]
    states = []
    for days in (0, 1, 2):
        await looked(exchange, days)
        states.append((await shown(exchange, request_id))["state"])
    assert states == ["under_review", "under_review", "granted"]


async def test_what_cannot_be_granted_any_more_is_left_to_its_provider(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id, approvals=())
    await exchange.deliver(entry)
    request_id = (await ask(exchange, resource, entry)).json()["request_id"]
    await exchange.withdraw(resource)
    await exchange.deliver(again(entry, approvals=scenario(exchange, resource.resource_id).approvals))
    assert (await looked(exchange), await looked(exchange)) == (1, 0)
    assert (await shown(exchange, request_id))["state"] == "under_review"


async def test_the_worker_grants_what_waits_as_soon_as_the_scenario_is_approved(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id, approvals=())
    await exchange.deliver(entry)
    request_id = (await ask(exchange, resource, entry)).json()["request_id"]
    database = connect(DatabaseSettings(url=exchange.url))
    working = asyncio.create_task(waiting.teller(POLICY, URL).run(database))
    try:
        async with asyncio.timeout(20):
            while (await shown(exchange, request_id))["scenario_note"] is None:  # looked at as it began
                await asyncio.sleep(0.02)
            await exchange.deliver(again(entry, approvals=scenario(exchange, resource.resource_id).approvals))
            while (await shown(exchange, request_id))["state"] != "granted":
                await asyncio.sleep(0.02)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await database.close()


async def test_requests_without_a_clock_get_the_one_they_would_have(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    plain, asked, extended = [(await exchange.ask(resource)).json()["request_id"] for _ in range(3)]
    handed_in = utc_now() - timedelta(days=2)
    provider = exchange.steward(exchange.provider)
    await exchange.client.post(f"/v1/requests/{asked}/materials", json={"missing": ["法律依据"]}, headers=provider)
    await exchange.client.post(f"/v1/requests/{extended}/extension", json={"days": 3, "reason": "核实"}, headers=provider)
    decision = {"consents": True, "approved_by": "数据局局长"}
    answer = await exchange.client.post(f"/v1/requests/{extended}/extension/decision", json=decision, headers=exchange.authority)
    assert answer.status_code == 201, answer.text
    before = {one: await clock_of(exchange, one) for one in (plain, asked, extended)}

    async def forget(tx: Any) -> None:
        await tx.execute(delete(Clock))
        await tx.execute(update(SharingRequest).where(SharingRequest.request_id == UUID(plain)).values(submitted_at=handed_in))

    await in_tx(exchange, forget)
    assert await in_tx(exchange, lambda tx: waiting.start_clocks(tx, POLICY, now=utc_now())) == 3
    assert await in_tx(exchange, lambda tx: waiting.start_clocks(tx, POLICY, now=utc_now())) == 0
    after = {one: await clock_of(exchange, one) for one in (plain, asked, extended)}
    assert after[plain]["due_on"] == str(add(day_of(handed_in), 10))
    assert [after[one]["standing"] for one in (plain, asked, extended)] == ["running", "paused", "running"]
    assert [after[one]["due_on"] for one in (asked, extended)] == [before[one]["due_on"] for one in (asked, extended)]
    assert after[extended]["extension_days"] == 3


async def test_asking_by_a_scenario_accepting_its_offer_and_confirming_what_lapsed_from_the_command_line(exchange: Any, cli: Any) -> None:
    resource, other = [await exchange.publish(**CONDITIONAL, name=name) for name in ("街道", "社区")]
    entry = scenario(
        exchange,
        resource.resource_id,
        terms={
            "requesters": {"organization_ids": (exchange.requester.organization_id,)},
            "data": ({"resource_id": resource.resource_id}, {"resource_id": other.resource_id}),
        },
    )
    await exchange.deliver(entry)
    papers = ["--basis", "第二十条", "--scenario", "优待证", "--purpose", "核对", "--approved-by", "局长"]
    named = ["--scenario-id", str(entry.entry_id), "--use-purpose", UsePurpose.ADMINISTRATIVE_BASIS.value]
    asked = await cli("requester", "request", "submit", str(resource.resource_id), *papers, *named)
    assert (asked["state"], asked["scenario_id"]) == ("granted", str(entry.entry_id))
    await in_tx(exchange, lambda tx: offers.follow(tx, now=utc_now()))
    [offer] = await cli("requester", "offer", "list")
    assert offer["resource"] == "社区"
    accepted = await cli("requester", "offer", "accept", offer["offer_id"], "--approved-by", "局长")
    assert (accepted["state"], accepted["approved_by"]) == ("granted", "局长")
    await exchange.deliver(again(entry, approvals=(AUTHORITY,)))
    lapsed = await cli("provider", "grant", "lapsed")
    assert {one["grant_id"] for one in lapsed} == {asked["grant_id"], accepted["grant_id"]}
    done = await cli("provider", "grant", "confirm", asked["grant_id"], "--reason", "仍在办理", "--approved-by", "民政局局长")
    assert done["confirmed_by"] == "民政局局长"
    assert [one["grant_id"] for one in await cli("provider", "grant", "lapsed")] == [accepted["grant_id"]]
