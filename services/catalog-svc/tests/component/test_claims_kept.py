"""What becomes of a source (C04) when its item is called otherwise, repeats another's values, or its organization moves."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy import text as sql

from catalog_svc.claim import commands as claims
from catalog_svc.claim.consumers import HANDLERS
from catalog_svc.matching import commands as matching
from catalog_svc.matching.store import ItemEntry
from catalog_svc.organization import commands as organizations
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import Level, OrganizationKind
from dxmesh_schemas.catalog_events import OrganizationChanged, ResourceChanged, ResourceWithdrawn
from dxmesh_schemas.catalog_sources import SourceAssigned, SourceReleased


def text(code: str, name: str, **changes: Any) -> dict[str, Any]:
    return {"code": code, "name": name, "data_type": "C", **changes}


class Ledger:
    """Departments with a resource each, their claims, and later versions."""

    def __init__(self, node: Any, entry: Any) -> None:
        self.node, self._entry, self._systems = node, entry, dict[str, Any]()

    async def department(self, name: str, *items: dict[str, Any], claims: str | None = None, **changes: Any) -> Any:
        """Return an organization and its published resource, one item of which is claimed when named."""
        organization = await self.node.organization(name, **changes)
        self._systems[name] = await self.node.system(organization, f"{name}系统")
        made = await self.node.published(organization, self._systems[name], name=f"{name}台账", items=list(items), key=[])
        if claims is not None:
            assert (await self.claim(organization, made, claims)).status_code == 201
        return organization, made

    async def claim(self, organization: Any, resource: Any, item: str) -> Any:
        body = {"resource_id": resource["resource_id"], "item": item}
        return await self.node.client.post("/v1/source-claims", json=body, headers=self.node.steward(organization))

    async def draft(self, organization: Any, resource: Any, *items: dict[str, Any]) -> dict[str, Any]:
        """Enter another version of a resource."""
        name = organization["name"]
        entry = self._entry(self._systems[name], name=f"{name}台账", items=list(items), key=[])
        path = f"/v1/resources/{resource['resource_id']}"
        changed = await self.node.client.put(path, json=entry, headers=self.node.steward(organization))
        assert changed.status_code == 200, changed.text
        found: dict[str, Any] = changed.json()
        return found

    async def version(self, organization: Any, resource: Any, *items: dict[str, Any]) -> None:
        """Put another version of a resource in force, and let its event take effect."""
        await self.node.put_in_force(await self.draft(organization, resource, *items))
        await deliver(self.node.sessions, HANDLERS, (await self.told(ResourceChanged))[-1])

    async def move(self, organization: Any, division_code: str) -> Any:
        body = {"name": organization["name"], "level": "city", "division_code": division_code, "kind": "department"}
        path = f"/v1/organizations/{organization['organization_id']}"
        return await self.node.client.put(path, json=body, headers=self.node.authority)

    async def case(self, organization: Any, resource: Any, item: str) -> dict[str, Any]:
        body = {"resource_id": resource["resource_id"], "item": item, "statement": "登记时核验"}
        found: dict[str, Any] = await self.node.made("/v1/arbitrations", body, self.node.steward(organization))
        return found

    async def shown(self, case: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (await self.node.client.get(f"/v1/arbitrations/{case['case_id']}", headers=self.node.authority)).json()
        return found

    async def claims(self, state: str) -> list[dict[str, Any]]:
        answer = await self.node.client.get("/v1/source-claims", params={"state": state}, headers=self.node.authority)
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def held(self) -> list[tuple[str, str]]:
        """Return the sources there are: division and name."""
        return sorted((one["division_code"], one["item_name"]) for one in await self.claims("held"))

    async def told(self, kind: type) -> list[Any]:
        return [event for event in await self.node.events() if isinstance(event, kind)]


@pytest.fixture
def ledger(node: Any, good_entry: Any) -> Ledger:
    return Ledger(node, good_entry)


async def test_an_item_that_is_called_by_a_synonym_keeps_its_claim_and_the_cases_about_it(ledger: Ledger) -> None:
    police, population = await ledger.department("公安局", text("id", "公民身份号码"), claims="id")
    civil, marriages = await ledger.department("民政局", text("sfzh", "身份证号"))
    case = await ledger.case(civil, marriages, "sfzh")
    await ledger.version(police, population, text("id", "居民身份证号码", length=18))
    await ledger.version(civil, marriages, text("sfzh", "公民身份证号码"))
    [claim] = await ledger.claims("held")
    assert (claim["claim_id"], claim["item_name"]) == (case["holder_claim_id"], "居民身份证号码")
    assert (await ledger.shown(case))["state"] == "open"
    assert await ledger.told(SourceReleased) == []


async def test_an_item_that_is_another_data_element_by_now_is_claimed_anew_and_everybody_is_told(ledger: Ledger, is_problem: Any) -> None:
    police, population = await ledger.department("公安局", text("id", "公民身份号码"), claims="id")
    civil, marriages = await ledger.department("民政局", text("sfzh", "身份证号"))
    case = await ledger.case(civil, marriages, "sfzh")
    await ledger.version(police, population, text("id", "出生日期"))
    assert await ledger.held() == [("330600", "出生日期")]
    [ended] = await ledger.claims("released")
    assert "calls the item '出生日期', not '公民身份号码' any more" in ended["release_reason"]
    [released], assigned = await ledger.told(SourceReleased), await ledger.told(SourceAssigned)
    assert (released.item_name, assigned[-1].item_name) == ("公民身份号码", "出生日期")
    assert (await ledger.shown(case))["state"] == "lapsed"
    assert (await ledger.claim(civil, marriages, "sfzh")).status_code == 201
    await ledger.version(police, population, text("id", "居民身份证号码"))
    assert await ledger.held() == [("330600", "身份证号")], "another department holds what it is called now"
    assert "民政局" in next(one["release_reason"] for one in await ledger.claims("released") if one["item_name"] == "出生日期")
    is_problem(await ledger.claim(police, population, "id"), 409, "source-held")
    assert (await ledger.case(police, population, "id"))["state"] == "open"


@pytest.mark.parametrize(("name", "why"), [("备注", "keeps a table"), ("公民身份号码", "those of another resource")])
async def test_a_source_that_comes_to_repeat_anothers_values_or_to_keep_a_table_is_none_any_more(
    ledger: Ledger, name: str, why: str
) -> None:
    _, register = await ledger.department("档案局", text("id", "公民身份号码"))
    police, population = await ledger.department("公安局", text("id", "公民身份号码"), text("n", "姓名"), claims="id")
    reference = {"reference": {"resource_id": register["resource_id"], "item": "id"}} if name == "公民身份号码" else {}
    await ledger.version(police, population, text("id", name, **reference), text("n", "姓名"))
    assert await ledger.held() == []
    assert why in (await ledger.claims("released"))[0]["release_reason"]
    assert len(await ledger.told(SourceReleased)) == 1


async def test_a_case_lapses_when_the_claimants_item_is_another_data_element_by_now(ledger: Ledger) -> None:
    await ledger.department("公安局", text("id", "公民身份号码"), claims="id")
    civil, marriages = await ledger.department("民政局", text("sfzh", "身份证号"))
    case = await ledger.case(civil, marriages, "sfzh")
    await ledger.version(civil, marriages, text("sfzh", "结婚日期"))
    lapsed = await ledger.shown(case)
    assert (lapsed["state"], "'结婚日期'" in lapsed["closed_reason"]) == ("lapsed", True)
    assert await ledger.held() == [("330600", "公民身份号码")]


async def test_that_two_items_are_different_holds_for_the_names_they_had(ledger: Ledger, is_problem: Any) -> None:
    await ledger.department("市场监管局", text("name", "企业名称"), claims="name")
    civil, bodies = await ledger.department("民政局", text("name", "单位名称"))
    case = await ledger.case(civil, bodies, "name")  # doubtful, and so before the authority
    decision = {"outcome": "distinct", "reason": "一为企业,一为社会组织"}
    path = f"/v1/arbitrations/{case['case_id']}/decision"
    assert (await ledger.node.client.post(path, json=decision, headers=ledger.node.authority)).status_code == 200
    assert (await ledger.claim(civil, bodies, "name")).json()["doubtful"] == []
    await ledger.version(civil, bodies, text("name", "企业名称"))
    assert await ledger.held() == [("330600", "企业名称")], "the ruling was about another name"
    is_problem(await ledger.claim(civil, bodies, "name"), 409, "source-held")


async def test_an_organization_that_moves_takes_along_what_nobody_holds_there(ledger: Ledger) -> None:
    police, population = await ledger.department("公安局", text("id", "公民身份号码"), text("birth", "出生日期"), claims="id")
    assert (await ledger.claim(police, population, "birth")).status_code == 201
    district, _ = await ledger.department("区公安局", text("sfzh", "身份证号"), claims="sfzh", division_code="330602")
    civil, marriages = await ledger.department("民政局", text("sfzh", "身份证号"))
    against = await ledger.case(civil, marriages, "sfzh")
    moved = await ledger.move(police, "330602")
    assert moved.status_code == 200, moved.text
    assert await ledger.held() == [("330602", "出生日期"), ("330602", "身份证号")]
    reasons = {one["item_name"]: one["release_reason"] for one in await ledger.claims("released")}
    assert "moved from division 330600 to 330602" in reasons["公民身份号码"]
    assert "区公安局" in reasons["公民身份号码"]
    assert "claimed anew" in reasons["出生日期"]
    assert (await ledger.shown(against))["state"] == "lapsed"
    assert (await ledger.told(SourceAssigned))[-1].division_code == "330602"
    assert (await ledger.claim(civil, marriages, "sfzh")).status_code == 201, "free in the division that was left"
    own = await ledger.case(police, population, "id")
    assert own["holder_organization_id"] == district["organization_id"]
    assert (await ledger.move(police, "330100")).status_code == 200
    assert (await ledger.shown(own))["state"] == "lapsed"
    assert await ledger.held() == [("330100", "出生日期"), ("330600", "身份证号"), ("330602", "身份证号")]
    await deliver(ledger.node.sessions, HANDLERS, (await ledger.told(OrganizationChanged))[-1])
    assert (await ledger.claim(police, population, "birth")).status_code == 200
    async with ledger.node.sessions() as session:
        query = select(ItemEntry.division_code).where(ItemEntry.organization_id == UUID(police["organization_id"])).distinct()
        assert list(await session.scalars(query)) == ["330100"]


async def test_a_claim_made_while_its_organization_moves_waits_and_is_one_in_the_division_that_is_moved_to(ledger: Ledger) -> None:
    police, population = await ledger.department("公安局", text("id", "公民身份号码"))
    entry = {"name": "公安局", "level": Level.CITY, "division_code": "330602", "kind": OrganizationKind.DEPARTMENT}
    async with ledger.node.sessions.begin() as tx, asyncio.timeout(30):
        await organizations.change(tx, UUID(police["organization_id"]), **entry, now=utc_now())
        claiming = asyncio.create_task(ledger.claim(police, population, "id"))
        while not await tx.scalar(sql("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await asyncio.sleep(0.02)
    assert (await claiming).json()["division_code"] == "330602"


async def test_a_claim_made_while_the_event_of_its_version_is_handled_waits_and_neither_fails(ledger: Ledger) -> None:
    police, population = await ledger.department("公安局", text("id", "公民身份号码"), text("birth", "出生日期"), claims="id")
    later = (text("id", "公民身份号码", length=18), text("birth", "出生日期"))
    await ledger.node.put_in_force(await ledger.draft(police, population, *later))
    version = (await ledger.told(ResourceChanged))[-1].resource
    async with ledger.node.sessions.begin() as tx, asyncio.timeout(30):
        await matching.index(tx, [version])
        claiming = asyncio.create_task(ledger.claim(police, population, "birth"))
        while not await tx.scalar(sql("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await asyncio.sleep(0.02)
        await claims.end_of_resource(tx, version.resource_id, kept=frozenset({"id", "birth"}), reason="x", now=utc_now())
    assert (await claiming).status_code == 201
    assert len(await ledger.held()) == 2


async def test_the_same_claim_made_twice_at_once_is_one_claim(ledger: Ledger) -> None:
    police, population = await ledger.department("公安局", text("id", "公民身份号码"))
    answers = await asyncio.gather(*(ledger.claim(police, population, "id") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["claim_id"] for answer in answers}) == 1
    assert len(await ledger.told(SourceAssigned)) == 1


async def test_only_what_is_in_force_is_claimed_and_only_by_who_has_it(ledger: Ledger, is_problem: Any) -> None:
    node = ledger.node
    police, population = await ledger.department("公安局", text("id", "公民身份号码"))
    await ledger.draft(police, population, text("id", "公民身份号码"), text("birth", "出生日期"))
    refused = is_problem(await ledger.claim(police, population, "birth"), 422, "source-claim-invalid")
    assert "the version in force has no item 'birth'" in refused["detail"]
    without = await node.organization("无系统局")  # no system, so no resource: nothing of its own to claim
    is_problem(await ledger.claim(without, population, "id"), 403, "forbidden")
    is_problem(await node.client.get("/v1/source-claims", params={"organization": "x"}, headers=node.steward(without)), 422)
    by_authority = {"resource_id": population["resource_id"], "item": "id"}
    assert (await node.client.post("/v1/source-claims", json=by_authority, headers=node.authority)).status_code == 201
    path = f"/v1/resources/{population['resource_id']}/withdrawal"
    assert (await node.client.post(path, json={"reason": "停用"}, headers=node.steward(police))).status_code == 200
    is_problem(await ledger.claim(police, population, "id"), 409, "illegal-transition")
    await deliver(node.sessions, HANDLERS, (await ledger.told(ResourceWithdrawn))[-1])
    assert await ledger.held() == []
