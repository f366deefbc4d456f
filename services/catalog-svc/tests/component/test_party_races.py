"""Two changes that look at each other's ground: the second waits until the first is committed and then sees it."""

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.matching import commands as matching_commands
from catalog_svc.organization import commands as organization_commands
from catalog_svc.sector import commands as sector_commands
from catalog_svc.system import commands as system_commands
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog import Level, OrganizationKind

AUTHORITY = Principal("test-client", None, frozenset({"authority"}))
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


async def second_after(node: Any, first: AsyncSession, second: Awaitable[httpx.Response]) -> httpx.Response:
    """Start the second while the first is not committed; commit the first once the second waits for it, or is done."""
    request = asyncio.ensure_future(second)
    async with asyncio.timeout(20), node.sessions() as watch:
        while not request.done() and not await watch.scalar(WAITING):
            await watch.rollback()  # the next look sees the statistics anew
            await asyncio.sleep(0.01)
    await first.commit()
    return await request


async def test_of_two_moves_that_would_close_a_loop_the_second_sees_the_first(node: Any, is_problem: Any) -> None:
    upper, lower = await node.organization("甲局"), await node.organization("乙局")
    body = {name: upper[name] for name in ("name", "level", "division_code")} | {"parent_id": lower["organization_id"]}
    path = f"/v1/organizations/{upper['organization_id']}"
    async with node.sessions() as tx:
        await organization_commands.change(
            tx,
            UUID(lower["organization_id"]),
            name=lower["name"],
            level=Level.CITY,
            division_code=lower["division_code"],
            kind=OrganizationKind.DEPARTMENT,
            now=utc_now(),
            parent_id=UUID(upper["organization_id"]),
        )
        answer = await second_after(node, tx, node.client.put(path, json=body, headers=node.authority))
    assert "loop" in is_problem(answer, 422, "organization-invalid")["detail"]


async def test_of_two_that_take_the_last_place_of_a_sector_the_second_sees_the_first(node: Any, is_problem: Any) -> None:
    sector = {"name": "民政", "main_system_cap": 1, "master_data_cap": 0}
    assert (await node.client.put("/v1/sectors/civil-affairs", json=sector, headers=node.authority)).status_code == 201
    systems = [await node.system(await node.organization(name)) for name in ("甲局", "乙局")]
    path, body = f"/v1/systems/{systems[1]['system_id']}", {"name": "系统", "is_main_system": True, "sector": "civil-affairs"}
    async with node.sessions() as tx:
        await system_commands.change(
            tx,
            UUID(systems[0]["system_id"]),
            of=None,
            name="系统",
            by=AUTHORITY,
            now=utc_now(),
            is_main_system=True,
            sector="civil-affairs",
        )
        answer = await second_after(node, tx, node.client.put(path, json=body, headers=node.authority))
    assert is_problem(answer, 409, "sector-cap-reached")["present"] == [{"system_id": systems[0]["system_id"], "name": "系统"}]


async def test_of_two_that_mark_a_resource_in_two_sectors_the_second_moves_it(node: Any, is_problem: Any) -> None:
    for code in ("civil-affairs", "health"):
        cap = {"name": code, "main_system_cap": 0, "master_data_cap": 1}
        assert (await node.client.put(f"/v1/sectors/{code}", json=cap, headers=node.authority)).status_code == 201
    resource_id = (await node.published(*await node.provider()))["resource_id"]
    path = f"/v1/resources/{resource_id}/master-data"
    async with node.sessions() as tx:
        await sector_commands.mark(tx, UUID(resource_id), sector="civil-affairs", reason=None, by=AUTHORITY, now=utc_now())
        answer = await second_after(node, tx, node.client.put(path, json={"sector": "health"}, headers=node.authority))
    assert answer.status_code == 200, answer.text
    assert (await node.client.get(path, headers=node.authority)).json()["sector"] == "health"
    async with node.sessions() as tx:
        await sector_commands.unmark(tx, UUID(resource_id))
        await tx.flush()
        answer = await second_after(node, tx, node.client.delete(path, headers=node.authority))
    is_problem(answer, 404, "not-master-data")


async def test_of_two_that_put_a_system_in_service_the_second_sees_the_first(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    await node.published(organization, system)
    path = f"/v1/systems/{system['system_id']}"
    async with node.sessions() as tx:
        await system_commands.enter_service(tx, UUID(system["system_id"]), of=None, reason=None, by=AUTHORITY, now=utc_now())
        answer = await second_after(node, tx, node.client.post(f"{path}/service", headers=node.steward(organization)))
    assert is_problem(answer, 409, "system-transition")["state"] == "in_service"
    steps = (await node.client.get(f"{path}/steps", headers=node.authority)).json()["items"]
    assert [step["state"] for step in steps] == ["planned", "in_service"]


async def test_of_two_that_say_what_a_new_term_means_the_second_has_the_last_word(node: Any) -> None:
    path = "/v1/synonyms/户口本号牌"
    async with node.sessions() as tx:
        await matching_commands.put_synonym(tx, "户口本号牌", concept="户号", by="test-client", now=utc_now())
        answer = await second_after(node, tx, node.client.put(path, json={"concept": "身份证号"}, headers=node.authority))
    assert answer.status_code == 200, answer.text
    assert [one["concept"] for one in (await node.client.get("/v1/synonyms", headers=node.authority)).json()["items"]] == ["身份证号"]
    async with node.sessions() as tx:
        await matching_commands.remove_synonym(tx, "户口本号牌")
        answer = await second_after(node, tx, node.client.put(path, json={"concept": "户号"}, headers=node.authority))
    assert answer.status_code == 200, answer.text


async def test_a_term_that_is_said_many_times_at_once_is_said(node: Any) -> None:
    path, concepts = "/v1/synonyms/户口本号牌", [f"甲{number}号" for number in range(8)]
    answers = await asyncio.gather(*(node.client.put(path, json={"concept": one}, headers=node.authority) for one in concepts))
    assert [answer.status_code for answer in answers] == [200] * len(concepts), answers[0].text
