"""The inventory of channels: agents' jobs by their reports, channels from before the node until they are retired."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.exchange_channels import ChannelEntered, ChannelEvent, ChannelMoved
from exchange_svc.inventory.store import InventoryChannel

LEGACY = {"name": "residents by FTP", "transport": "FTP", "reason": "set up in 2014, nightly"}


async def report(exchange: Any, resource: Any, channel_id: object, by: Any = None, **changes: Any) -> Any:
    body = {"kind": "folder", "agent": "front-1", "name": "streets", "resource_id": str(resource.resource_id), "state": "working"}
    who = exchange.steward(by or exchange.provider)
    return await exchange.client.put(f"/v1/channels/{channel_id}/report", json=body | changes, headers=who)


async def listed(exchange: Any, who: dict[str, str], **params: Any) -> list[dict[str, Any]]:
    answer = await exchange.client.get("/v1/channels", headers=who, params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def said(exchange: Any) -> list[ChannelEvent]:
    return [event for event in await exchange.outbox() if isinstance(event, ChannelEvent)]


async def enter(exchange: Any, who: dict[str, str], **changes: Any) -> Any:
    return await exchange.client.post("/v1/channels", json=LEGACY | changes, headers=who)


async def move(exchange: Any, who: dict[str, str], channel_id: str, state: str, **changes: Any) -> Any:
    return await exchange.client.post(f"/v1/channels/{channel_id}/state", json={"state": state, "reason": "agreed", **changes}, headers=who)


async def test_a_job_is_listed_with_its_last_batch_and_state_to_its_organization_and_the_authority(exchange: Any) -> None:
    resource, channel_id = await exchange.publish(), uuid7()
    batch = await exchange.pushed(resource.resource_id)
    assert (await report(exchange, resource, channel_id, last_batch_id=batch["batch_id"])).status_code == 200
    for _ in range(2):
        failing = await report(exchange, resource, channel_id, state="failing", detail="the folder is gone")
    assert (failing.status_code, failing.json()["last_batch_id"]) == (200, batch["batch_id"])
    for who in (exchange.steward(exchange.provider), exchange.authority):
        (one,) = await listed(exchange, who)
        assert (one["state"], one["detail"], one["is_silent"]) == ("failing", "the folder is gone", False)
    assert await listed(exchange, exchange.steward(exchange.stranger)) == []
    assert await listed(exchange, exchange.authority, state="working") == []
    async with exchange.sessions.begin() as tx:
        await tx.execute(update(InventoryChannel).values(seen_at=utc_now() - timedelta(hours=25)))
    assert (await listed(exchange, exchange.authority, kind="folder"))[0]["is_silent"]
    entered, moved = await said(exchange)
    assert isinstance(entered, ChannelEntered)
    assert isinstance(moved, ChannelMoved)
    assert (entered.organization, entered.resource_id, entered.state) == (exchange.provider, resource.resource_id, "working")
    assert (moved.former_state, moved.state, moved.reason) == ("working", "failing", "the folder is gone")


async def test_a_report_about_what_is_not_ones_own_is_not_found(exchange: Any) -> None:
    resource, channel_id = await exchange.publish(), uuid7()
    assert (await report(exchange, resource, channel_id, exchange.stranger)).status_code == 404
    assert (await report(exchange, resource, channel_id, last_batch_id=str(uuid7()))).status_code == 404
    assert (await report(exchange, resource, channel_id)).status_code == 200
    theirs = await exchange.publish(provider=exchange.stranger)
    assert (await report(exchange, theirs, channel_id, exchange.stranger)).status_code == 404
    batch = await exchange.pushed(theirs.resource_id, by=exchange.stranger)
    assert (await report(exchange, resource, channel_id, last_batch_id=batch["batch_id"])).status_code == 404
    legacy = (await enter(exchange, exchange.steward(exchange.provider))).json()["channel_id"]
    assert (await report(exchange, resource, legacy)).status_code == 404
    assert (await report(exchange, resource, channel_id, detail="\u0000")).status_code == 422


async def test_a_channel_from_before_the_node_is_consolidated_into_a_resource_and_retired(exchange: Any) -> None:
    resource, steward = await exchange.publish(), exchange.steward(exchange.provider)
    entered = await enter(exchange, exchange.authority, organization_id=str(exchange.provider.organization_id))
    assert entered.status_code == 201, entered.text
    found = entered.json()
    assert (found["state"], found["kind"], found["is_silent"]) == ("to_consolidate", "legacy", False)
    into_nothing = await move(exchange, steward, found["channel_id"], "consolidated")
    assert (into_nothing.status_code, into_nothing.json()["errors"][0]["pointer"]) == (422, "/resource_id")
    foreign = await exchange.publish(provider=exchange.stranger)
    assert (await move(exchange, steward, found["channel_id"], "consolidated", resource_id=str(foreign.resource_id))).status_code == 404
    into = {"resource_id": str(resource.resource_id)}
    assert (await move(exchange, exchange.steward(exchange.stranger), found["channel_id"], "consolidated", **into)).status_code == 404
    assert (await move(exchange, steward, found["channel_id"], "consolidated", **into)).status_code == 201
    assert (await move(exchange, exchange.authority, found["channel_id"], "retired")).status_code == 201
    events = await said(exchange)
    assert [(event.state, event.transport, event.organization) for event in events] == [
        (state, "FTP", exchange.provider) for state in ("to_consolidate", "consolidated", "retired")
    ]
    assert [event.former_state for event in events if isinstance(event, ChannelMoved)] == ["to_consolidate", "consolidated"]
    back = await move(exchange, steward, found["channel_id"], "to_consolidate")
    assert (back.status_code, back.json()["state"]) == (409, "retired")
    told = (await exchange.client.get(f"/v1/channels/{found['channel_id']}", headers=steward)).json()
    assert [step["state"] for step in told["steps"]] == ["to_consolidate", "consolidated", "retired"]
    assert (told["resource_id"], told["steps"][0]["reason"]) == (str(resource.resource_id), LEGACY["reason"])
    assert (
        await exchange.client.get(f"/v1/channels/{found['channel_id']}", headers=exchange.steward(exchange.stranger))
    ).status_code == 404


async def test_a_job_is_not_moved_by_hand_and_a_department_enters_its_own_alone(exchange: Any) -> None:
    resource, channel_id, steward = await exchange.publish(), uuid7(), exchange.steward(exchange.provider)
    await report(exchange, resource, channel_id)
    assert (await move(exchange, steward, str(channel_id), "retired")).status_code == 409
    other = str(exchange.stranger.organization_id)
    assert (await enter(exchange, steward, organization_id=other)).status_code == 404
    assert (await enter(exchange, exchange.authority)).status_code == 403
    assert (await enter(exchange, exchange.authority, organization_id=str(UUID(int=7)))).status_code == 409
    assert (await enter(exchange, exchange.tokens.issue(exchange.provider.organization_id, "reader"))).status_code == 403


@pytest.mark.parametrize("missing", LEGACY)
async def test_a_channel_is_entered_with_all_that_is_asked_for(exchange: Any, missing: str) -> None:
    body = {name: value for name, value in LEGACY.items() if name != missing}
    answer = await exchange.client.post("/v1/channels", json=body, headers=exchange.steward(exchange.provider))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{missing}")


async def test_the_list_goes_on_page_by_page(exchange: Any) -> None:
    for number in range(3):
        assert (await enter(exchange, exchange.steward(exchange.provider), name=f"channel {number}")).status_code == 201
    first = (await exchange.client.get("/v1/channels", params={"limit": 2}, headers=exchange.authority)).json()
    rest = await listed(exchange, exchange.authority, limit=2, cursor=first["next_cursor"])
    assert [one["name"] for one in first["items"] + rest] == ["channel 0", "channel 1", "channel 2"]
