"""Arbitration (C04): a refused claim goes to the data authority, both sides are heard, the decision names the source."""

import asyncio
from typing import Any

import pytest

from dxmesh_schemas.catalog_sources import ArbitrationDecided, ArbitrationOpened, SourceAssigned, SourceReleased

NOBODY = "00000000-0000-0000-0000-000000000000"


class Dispute:
    """A source of the police, and the civil affairs office that was refused."""

    def __init__(self, node: Any) -> None:
        self.node = node

    async def begin(self) -> "Dispute":
        self.police, self.population = await self.side("公安局", "人口信息", "id_number", "公民身份号码")
        self.civil, self.marriages = await self.side("民政局", "婚姻登记", "sfzh", "身份证号")
        held = await self.claim(self.police, self.population, "id_number")
        assert held.status_code == 201, held.text
        self.held = held.json()
        return self

    async def side(self, name: str, resource: str, code: str, item: str, **changes: Any) -> Any:
        organization = await self.node.organization(name)
        system = await self.node.system(organization, f"{name}系统")
        items = [{"code": code, "name": item, "data_type": "C", **changes}]
        return organization, await self.node.published(organization, system, name=resource, items=items, key=[])

    async def claim(self, organization: Any, resource: Any, item: str) -> Any:
        body = {"resource_id": resource["resource_id"], "item": item}
        return await self.node.client.post("/v1/source-claims", json=body, headers=self.node.steward(organization))

    async def open(self, organization: Any = None, resource: Any = None, item: str = "sfzh", statement: str = "婚姻登记时当面核验") -> Any:
        body = {"resource_id": (resource or self.marriages)["resource_id"], "item": item, "statement": statement}
        return await self.node.client.post("/v1/arbitrations", json=body, headers=self.node.steward(organization or self.civil))

    async def opened(self) -> dict[str, Any]:
        answer = await self.open()
        assert answer.status_code == 201, answer.text
        case: dict[str, Any] = answer.json()
        return case

    async def decide(self, case: dict[str, Any], outcome: str, reason: str = "户籍登记是法定职责") -> Any:
        body = {"outcome": outcome, "reason": reason}
        return await self.node.client.post(f"/v1/arbitrations/{case['case_id']}/decision", json=body, headers=self.node.authority)

    async def told(self, kind: type) -> list[Any]:
        return [event for event in await self.node.events() if isinstance(event, kind)]


@pytest.fixture
async def dispute(node: Any) -> Dispute:
    return await Dispute(node).begin()


async def test_both_sides_are_heard_and_the_claimant_becomes_the_source(dispute: Dispute) -> None:
    node, case = dispute.node, await dispute.opened()
    assert (case["state"], case["holder_claim_id"], case["outcome"]) == ("open", dispute.held["claim_id"], None)
    assert case["similarity"] >= 0.9
    said = await node.client.post(
        f"/v1/arbitrations/{case['case_id']}/statements", json={"text": "我局是法定登记机关"}, headers=node.steward(dispute.police)
    )
    assert said.status_code == 201, said.text
    decided = (await dispute.decide(case, "claimant", "核验更完整")).json()
    assert (decided["state"], decided["outcome"], decided["decision_reason"]) == ("decided", "claimant", "核验更完整")
    assert decided["decided_at"]
    assert [one["organization_id"] for one in decided["statements"]] == [
        dispute.civil["organization_id"],
        dispute.police["organization_id"],
    ]
    held = (await node.client.get("/v1/source-claims", params={"state": "held"}, headers=node.authority)).json()["items"]
    assert [(one["resource_id"], one["item"], one["case_id"]) for one in held] == [
        (dispute.marriages["resource_id"], "sfzh", case["case_id"])
    ]
    [opened], [event], [released] = [await dispute.told(kind) for kind in (ArbitrationOpened, ArbitrationDecided, SourceReleased)]
    assert str(opened.claimant_resource_id) == dispute.marriages["resource_id"]
    assert (event.outcome, str(event.source_resource_id), event.source_item) == ("claimant", dispute.marriages["resource_id"], "sfzh")
    assert str(released.claim_id) == dispute.held["claim_id"]
    assert str((await dispute.told(SourceAssigned))[-1].case_id) == case["case_id"]


async def test_the_holder_may_stay_the_source(dispute: Dispute, is_problem: Any) -> None:
    case = await dispute.opened()
    assert (await dispute.decide(case, "holder")).status_code == 200
    is_problem(await dispute.claim(dispute.civil, dispute.marriages, "sfzh"), 409, "source-held")
    assert await dispute.told(SourceReleased) == []
    [event] = await dispute.told(ArbitrationDecided)
    assert str(event.source_organization_id) == dispute.police["organization_id"]


async def test_items_found_to_be_different_data_elements_both_stay_sources_also_when_claimed_again(dispute: Dispute) -> None:
    node, case = dispute.node, await dispute.opened()
    assert (await dispute.decide(case, "distinct", "一为当事人,一为户籍人口")).status_code == 200
    held = (await node.client.get("/v1/source-claims", params={"state": "held"}, headers=node.authority)).json()["items"]
    assert {one["item"] for one in held} == {"id_number", "sfzh"}
    own = next(one for one in held if one["item"] == "sfzh")
    await node.client.post(f"/v1/source-claims/{own['claim_id']}/release", json={"reason": "x"}, headers=node.steward(dispute.civil))
    assert (await dispute.claim(dispute.civil, dispute.marriages, "sfzh")).status_code == 201


async def test_a_case_is_decided_once_and_takes_no_statement_after(dispute: Dispute, is_problem: Any) -> None:
    node, case = dispute.node, await dispute.opened()
    answers = await asyncio.gather(*(dispute.decide(case, outcome) for outcome in ("holder", "claimant", "distinct")))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert is_problem(next(answer for answer in answers if answer.status_code == 409), 409, "arbitration-decided")["outcome"]
    late = await node.client.post(f"/v1/arbitrations/{case['case_id']}/statements", json={"text": "x"}, headers=node.steward(dispute.civil))
    is_problem(late, 409, "arbitration-decided")


async def test_only_what_stands_in_the_way_is_arbitrated_and_only_once(dispute: Dispute, is_problem: Any) -> None:
    tax, payers = await dispute.side("税务局", "纳税人", "taxpayer", "纳税人识别号")
    is_problem(await dispute.open(tax, payers, "taxpayer"), 409, "nothing-to-arbitrate")
    is_problem(await dispute.open(dispute.police, dispute.population, "id_number"), 409, "nothing-to-arbitrate")
    case = await dispute.opened()
    assert is_problem(await dispute.open(), 409, "arbitration-open")["case_id"] == case["case_id"]
    answers = await asyncio.gather(*(dispute.open() for _ in range(3)))
    assert {answer.status_code for answer in answers} == {409}


async def test_a_case_is_seen_by_its_two_sides_the_authority_and_auditors(dispute: Dispute, is_problem: Any) -> None:
    node, case = dispute.node, await dispute.opened()
    path = f"/v1/arbitrations/{case['case_id']}"
    tax = await node.organization("税务局")
    for headers in (node.authority, node.headers(None, "auditor"), node.steward(dispute.civil), node.steward(dispute.police)):
        assert (await node.client.get(path, headers=headers)).status_code == 200
        assert len((await node.client.get("/v1/arbitrations", headers=headers)).json()["items"]) == 1
    is_problem(await node.client.get(path, headers=node.steward(tax)), 404, "arbitration-not-found")
    assert (await node.client.get("/v1/arbitrations", headers=node.steward(tax))).json()["items"] == []
    is_problem(await node.client.post(f"{path}/statements", json={"text": "x"}, headers=node.steward(tax)), 404, "arbitration-not-found")
    is_problem(await node.client.post(f"{path}/statements", json={"text": "x"}, headers=node.authority), 403, "forbidden")
    body = {"outcome": "holder", "reason": "x"}
    is_problem(await node.client.post(f"{path}/decision", json=body, headers=node.steward(dispute.civil)), 403, "forbidden")
    is_problem(await node.client.get(f"/v1/arbitrations/{NOBODY}", headers=node.authority), 404, "arbitration-not-found")
    listed = await node.client.get("/v1/arbitrations", params={"state": "decided"}, headers=node.authority)
    assert listed.json()["items"] == []


async def test_a_decision_that_cannot_take_effect_is_refused_and_changes_nothing(dispute: Dispute, is_problem: Any) -> None:
    node, case = dispute.node, await dispute.opened()
    for outcome, organization, resource in (
        ("holder", dispute.police, dispute.population),
        ("claimant", dispute.civil, dispute.marriages),
    ):
        withdrawal = f"/v1/resources/{resource['resource_id']}/withdrawal"
        assert (await node.client.post(withdrawal, json={"reason": "停用"}, headers=node.steward(organization))).status_code == 200
        refused = is_problem(await dispute.decide(case, outcome), 409, "decision-impossible")  # before the event is handled
        assert refused["errors"][0]["pointer"] == "/outcome"
    assert (await node.client.get(f"/v1/arbitrations/{case['case_id']}", headers=node.authority)).json()["state"] == "open"
    assert await dispute.told(ArbitrationDecided) == []


async def test_a_third_source_of_the_same_data_element_stands_in_the_way_of_a_decision(node: Any, is_problem: Any) -> None:
    dispute, sources = Dispute(node), []
    for name, item in (("住建局", "建筑面积(平方米)"), ("自然资源局", "建筑面积(公顷)")):
        organization, resource = await dispute.side(name, f"{name}台账", "area", item)
        sources.append((await dispute.claim(organization, resource, "area")).json())  # doubtful: another unit
    tax, taxed = await dispute.side("税务局", "房产税源", "area", "建筑面积")
    case = (await dispute.open(tax, taxed, "area")).json()
    refused = is_problem(await dispute.decide(case, "claimant"), 409, "decision-impossible")
    [third] = [one for one in sources if one["claim_id"] != case["holder_claim_id"]]
    assert refused["holder"]["claim_id"] == third["claim_id"]
    assert len((await node.client.get("/v1/source-claims", params={"state": "held"}, headers=node.authority)).json()["items"]) == 2


@pytest.mark.parametrize("reason", ["", " ", "a\x00", "a\u200bb", None])
async def test_statements_and_decisions_must_say_something(dispute: Dispute, is_problem: Any, reason: Any) -> None:
    node = dispute.node
    is_problem(await dispute.open(statement=reason), 422)
    case = await dispute.opened()
    is_problem(await dispute.decide(case, "holder", reason), 422)
    is_problem(await dispute.decide(case, "nobody", "x"), 422)
    path = f"/v1/arbitrations/{case['case_id']}/statements"
    is_problem(await node.client.post(path, json={"text": reason}, headers=node.steward(dispute.civil)), 422)
