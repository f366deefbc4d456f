"""The way of an arbitration case (C04): its deadline, its end without a decision, and the objection to one (GDSR Art. 28)."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from catalog_svc.arbitration import commands
from catalog_svc.arbitration.store import ArbitrationCase
from catalog_svc.claim.consumers import HANDLERS
from catalog_svc.duty import commands as duties
from dxmesh_clocks.policy import local
from dxmesh_clocks.working_days import add, begin_of, day_of
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.catalog_deadlines import DeadlineApproaching, DeadlineEvent, DeadlineMissed
from dxmesh_schemas.catalog_events import ResourceChanged, ResourceWithdrawn
from dxmesh_schemas.catalog_sources import ArbitrationClosed, ArbitrationDecided, ArbitrationObjected, ArbitrationOpened, SourceAssigned


class Dispute:
    """A source of the police, and the civil affairs office that has been refused and opened a case."""

    def __init__(self, node: Any) -> None:
        self.node = node

    async def begin(self) -> "Dispute":
        self.police, self.population, self.held = await self.side("公安局", "人口信息", "id_number", "公民身份号码", is_source=True)
        self.civil, self.marriages, _ = await self.side("民政局", "婚姻登记", "sfzh", "身份证号")
        self.case = await self.opened(self.civil, self.marriages, "sfzh")
        return self

    async def side(self, name: str, resource: str, code: str, item: str, *, is_source: bool = False) -> Any:
        organization = await self.node.organization(name)
        system = await self.node.system(organization, f"{name}系统")
        items = [{"code": code, "name": item, "data_type": "C"}, {"code": "note", "name": "登记机关", "data_type": "C"}]
        made = await self.node.published(organization, system, name=resource, items=items, key=[])
        body = {"resource_id": made["resource_id"], "item": code}
        held = await self.node.made("/v1/source-claims", body, self.node.steward(organization)) if is_source else None
        return organization, made, held

    async def opened(self, organization: Any, resource: Any, item: str) -> dict[str, Any]:
        body = {"resource_id": resource["resource_id"], "item": item, "statement": "婚姻登记时当面核验"}
        case: dict[str, Any] = await self.node.made("/v1/arbitrations", body, self.node.steward(organization))
        return case

    async def post(self, what: str, headers: dict[str, str], case: Any = None, **body: Any) -> Any:
        return await self.node.client.post(f"/v1/arbitrations/{(case or self.case)['case_id']}/{what}", json=body, headers=headers)

    async def decide(self, outcome: str, case: Any = None, **more: Any) -> Any:
        return await self.post("decision", self.node.authority, case, outcome=outcome, reason="核验更完整", **more)

    async def object_to(self, organization: Any, **body: Any) -> Any:
        return await self.post("objection", self.node.steward(organization), **({"reason": "法定登记机关"} | body))

    async def withdraw(self, organization: Any) -> Any:
        return await self.post("withdrawal", self.node.steward(organization), reason="已协商一致")

    async def shown(self, case: Any = None) -> dict[str, Any]:
        answer = await self.node.client.get(f"/v1/arbitrations/{(case or self.case)['case_id']}", headers=self.node.authority)
        found: dict[str, Any] = answer.json()
        return found

    async def duty(self, duty_id: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        answer = await self.node.client.get(f"/v1/duties/{duty_id}", headers=headers or self.node.authority)
        found: dict[str, Any] = answer.json()
        return found

    async def release(self) -> None:
        path = f"/v1/source-claims/{self.held['claim_id']}/release"
        answer = await self.node.client.post(path, json={"reason": "移交"}, headers=self.node.steward(self.police))
        assert answer.status_code == 200, answer.text

    async def sources(self) -> list[str]:
        """Return whose items are sources now."""
        held = await self.node.client.get("/v1/source-claims", params={"state": "held"}, headers=self.node.authority)
        return [one["item"] for one in held.json()["items"]]

    async def told(self, kind: type) -> list[Any]:
        return [event for event in await self.node.events() if isinstance(event, kind)]

    async def due(self, now: datetime) -> list[Any]:
        """Tell what is due at a moment; return all deadlines told so far."""
        async with self.node.sessions.begin() as tx:
            await duties.tell_due(tx, now=now)
        return await self.told(DeadlineEvent)


@pytest.fixture
async def dispute(node: Any) -> Dispute:
    return await Dispute(node).begin()


async def test_a_case_is_to_be_decided_in_ten_working_days_and_the_mesh_hears_when_it_is_not(dispute: Dispute, is_problem: Any) -> None:
    node, case = dispute.node, dispute.case
    due_on = add(day_of(utc_now()), 10)
    assert case["due_on"] == str(due_on)
    assert (await dispute.told(ArbitrationOpened))[0].due_on == due_on
    for headers in (node.authority, node.steward(dispute.civil)):
        duty = await dispute.duty(case["duty_id"], headers)
        assert (duty["rule"], duty["responsible"], duty["case_id"], duty["state"]) == (
            "arbitration",
            "authority",
            case["case_id"],
            "running",
        )
        assert "第二十八条" in duty["source"]
    listed = await node.client.get("/v1/duties", params={"rule": "arbitration"}, headers=node.authority)
    assert [one["duty_id"] for one in listed.json()["items"]] == [case["duty_id"]]
    [near] = await dispute.due(begin_of(add(due_on, -3)))
    assert (type(near), near.days_left, near.responsible) == (DeadlineApproaching, 3, "authority")
    missed = (await dispute.due(begin_of(due_on + timedelta(days=2))))[-1]
    assert (type(missed), str(missed.case_id)) == (DeadlineMissed, case["case_id"])
    path = f"/v1/duties/{case['duty_id']}"
    answer = {"resource_id": dispute.marriages["resource_id"], "version": 1, "reason": "x"}
    for what, body in (("answer", answer), ("cancellation", {"reason": "x"})):
        refused = is_problem(await node.client.post(f"{path}/{what}", json=body, headers=node.authority), 409, "duty-of-case")
        assert refused["case_id"] == case["case_id"]
    is_problem(await node.client.post(f"{path}/extension", json={"reason": "x"}, headers=node.authority), 409, "clock-refused")
    assert (await dispute.decide("holder")).status_code == 200
    assert (await dispute.duty(case["duty_id"]))["state"] == "met"
    assert len(await dispute.due(begin_of(due_on + timedelta(days=9)))) == 2


async def test_a_jurisdiction_decides_sooner_and_the_days_to_object_are_its_own(dispute: Dispute) -> None:
    rules = {"arbitration": {"days": 4, "source": "办法第九条"}, "arbitration_objection": {"days": 3, "source": "办法第十条"}}
    policy = local(f'{{"jurisdiction": "330600", "title": "办法", "rules": {str(rules).replace(chr(39), chr(34))}}}')
    tax, payers, _ = await dispute.side("税务局", "纳税人", "idno", "身份证号码")
    now, steward = utc_now(), Principal("s", UUID(tax["organization_id"]), frozenset({"steward"}))
    async with dispute.node.sessions.begin() as tx:
        row = await commands.open_case(tx, policy, UUID(payers["resource_id"]), "idno", statement="x", by=steward, now=now)
    shown = await dispute.shown({"case_id": row.case_id})
    assert shown["due_on"] == str(add(day_of(now), 4))
    authority = Principal("a", None, frozenset({"authority"}))
    async with dispute.node.sessions.begin() as tx:
        row = await commands.decide(
            tx, policy, row.case_id, outcome=commands.Outcome.HOLDER, reason="x", document=None, by=authority, now=now
        )
    assert row.objection_until == add(day_of(now), 3)


async def test_the_claimant_may_take_its_case_back_and_nobody_else(dispute: Dispute, is_problem: Any) -> None:
    node, case = dispute.node, dispute.case
    is_problem(await dispute.withdraw(dispute.police), 403, "forbidden")
    is_problem(await dispute.withdraw(await node.organization("税务局")), 404, "arbitration-not-found")
    is_problem(await dispute.post("withdrawal", node.authority, reason="x"), 403, "forbidden")
    is_problem(await dispute.post("withdrawal", node.steward(dispute.civil), reason=" "), 422)
    taken_back = (await dispute.withdraw(dispute.civil)).json()
    assert (taken_back["state"], taken_back["closed_reason"], taken_back["outcome"]) == ("withdrawn", "已协商一致", None)
    assert [step["step"] for step in taken_back["steps"]] == ["opened", "withdrawn"]
    assert (await dispute.duty(case["duty_id"]))["state"] == "met"
    assert await dispute.due(begin_of(day_of(utc_now()) + timedelta(days=60))) == []
    [event] = await dispute.told(ArbitrationClosed)
    assert (event.state, event.reason) == ("withdrawn", "已协商一致")
    assert await dispute.sources() == ["id_number"]
    closed = is_problem(await dispute.decide("claimant"), 409, "arbitration-closed")
    assert closed["state"] == "withdrawn"
    is_problem(await dispute.withdraw(dispute.civil), 409, "arbitration-closed")
    is_problem(await dispute.object_to(dispute.civil), 409, "arbitration-closed")
    is_problem(await dispute.post("statements", node.steward(dispute.civil), text="x"), 409, "arbitration-closed")
    assert (await dispute.opened(dispute.civil, dispute.marriages, "sfzh"))["state"] == "open"


@pytest.mark.parametrize("gone", ["released", "holder withdrawn", "claimant withdrawn", "item dropped"])
async def test_a_case_lapses_when_either_side_is_gone(dispute: Dispute, gone: str) -> None:
    node = dispute.node
    if gone == "released":
        await dispute.release()
    elif gone == "item dropped":
        path = f"/v1/resources/{dispute.marriages['resource_id']}/versions/1"
        snapshot = ResourceSnapshot.model_validate((await node.client.get(path, headers=node.authority)).json())
        later = snapshot.model_copy(update={"version": 2, "items": snapshot.items[1:]})
        await deliver(node.sessions, HANDLERS, ResourceChanged(resource_id=later.resource_id, resource=later))
    else:
        organization, resource = (dispute.police, dispute.population) if "holder" in gone else (dispute.civil, dispute.marriages)
        path = f"/v1/resources/{resource['resource_id']}/withdrawal"
        assert (await node.client.post(path, json={"reason": "职责调整"}, headers=node.steward(organization))).status_code == 200
        await deliver(node.sessions, HANDLERS, (await dispute.told(ResourceWithdrawn))[-1])
    case = await dispute.shown()
    assert case["state"] == "lapsed"
    assert {"released": "移交", "item dropped": "no such item"}.get(gone, "职责调整") in case["closed_reason"]
    assert (await dispute.duty(case["duty_id"]))["state"] == "met"
    [event] = await dispute.told(ArbitrationClosed)
    assert (str(event.case_id), event.state) == (case["case_id"], "lapsed")
    body = {"resource_id": dispute.marriages["resource_id"], "item": "sfzh"}
    claimed = await node.client.post("/v1/source-claims", json=body, headers=node.steward(dispute.civil))
    assert claimed.status_code == {"released": 201, "holder withdrawn": 201}.get(gone, 409)


async def test_the_source_that_went_to_one_claimant_ends_the_cases_of_others_against_its_holder(dispute: Dispute) -> None:
    tax, payers, _ = await dispute.side("税务局", "纳税人", "idno", "身份证号码")
    other = await dispute.opened(tax, payers, "idno")
    assert (await dispute.decide("claimant")).json()["state"] == "decided"
    lapsed = await dispute.shown(other)
    assert lapsed["state"] == "lapsed"
    assert dispute.case["case_id"] in lapsed["closed_reason"]
    again = await dispute.opened(tax, payers, "idno")
    assert again["holder_organization_id"] == dispute.civil["organization_id"]


async def test_a_decision_objected_to_goes_to_the_peoples_government_and_stands_meanwhile(dispute: Dispute, is_problem: Any) -> None:
    node, today = dispute.node, day_of(utc_now())
    is_problem(await dispute.object_to(dispute.police), 409, "arbitration-not-decided")
    is_problem(await dispute.decide("claimant", document="市府〔2026〕7号"), 422, "arbitration-decision-invalid")
    decided = (await dispute.decide("claimant")).json()
    assert decided["objection_until"] == str(add(today, 10))
    is_problem(await dispute.object_to(dispute.civil), 403, "forbidden")
    is_problem(await dispute.object_to(await node.organization("税务局")), 404, "arbitration-not-found")
    is_problem(await dispute.post("objection", node.authority, reason="x"), 403, "forbidden")
    is_problem(await dispute.object_to(dispute.police, reason="a\x00"), 422)
    referred = (await dispute.object_to(dispute.police)).json()
    assert (referred["state"], referred["objecting_organization_id"]) == ("referred", dispute.police["organization_id"])
    assert referred["due_on"] == str(add(today, 10))
    assert referred["duty_id"] != decided["duty_id"]
    assert (await dispute.told(ArbitrationObjected))[0].due_on == add(today, 10)
    assert await dispute.sources() == ["sfzh"]
    is_problem(await dispute.object_to(dispute.police), 409, "arbitration-decided")
    assert (await dispute.post("statements", node.steward(dispute.civil), text="登记时核验")).status_code == 201
    missing = is_problem(await dispute.decide("holder"), 422, "arbitration-decision-invalid")
    assert missing["errors"][0]["pointer"] == "/document"
    settled = (await dispute.decide("holder", document="市府〔2026〕7号")).json()
    assert (settled["state"], settled["outcome"], settled["document"]) == ("settled", "holder", "市府〔2026〕7号")
    assert settled["objection_until"] is None
    assert [step["step"] for step in settled["steps"]] == ["opened", "decided", "objected", "settled"]
    assert [step["details"].get("outcome") for step in settled["steps"]] == [None, "claimant", None, "holder"]
    assert await dispute.sources() == ["id_number"]
    assert str((await dispute.told(SourceAssigned))[-1].case_id) == settled["case_id"]
    assert (await dispute.told(ArbitrationDecided))[-1].document == "市府〔2026〕7号"
    for case_id in (decided["duty_id"], settled["duty_id"]):
        assert (await dispute.duty(case_id))["state"] == "met"
    for late in (dispute.decide("claimant"), dispute.object_to(dispute.civil), dispute.withdraw(dispute.civil)):
        is_problem(await late, 409, "arbitration-decided")


async def test_an_objection_comes_in_time_or_is_taken_back_and_the_decision_stands(dispute: Dispute, is_problem: Any) -> None:
    node = dispute.node
    assert (await dispute.decide("distinct")).status_code == 200
    referred = (await dispute.object_to(dispute.civil)).json()
    is_problem(await dispute.withdraw(dispute.police), 403, "forbidden")
    settled = (await dispute.withdraw(dispute.civil)).json()
    assert (settled["state"], settled["outcome"]) == ("settled", "distinct")
    assert (await dispute.duty(referred["duty_id"]))["state"] == "met"
    assert sorted(await dispute.sources()) == ["id_number", "sfzh"]
    tax, payers, _ = await dispute.side("税务局", "纳税人", "idno", "身份证号码")
    case = await dispute.opened(tax, payers, "idno")
    assert (await dispute.decide("holder", case)).status_code == 200
    async with node.sessions.begin() as tx:
        past = day_of(utc_now()) - timedelta(days=1)
        await tx.execute(update(ArbitrationCase).where(ArbitrationCase.case_id == case["case_id"]).values(objection_until=past))
    late = is_problem(await dispute.post("objection", node.steward(tax), case, reason="x"), 409, "objection-late")
    assert late["until"] == str(past)


async def test_what_was_objected_to_stands_for_good_when_the_source_is_given_up(dispute: Dispute) -> None:
    await dispute.decide("holder")
    await dispute.object_to(dispute.civil)
    await dispute.release()
    case = await dispute.shown()
    assert (case["state"], case["outcome"]) == ("settled", "holder")
    assert "移交" in case["closed_reason"]
