"""One item, one source (C04): claims, their refusal, their end, and two at once."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update

from catalog_svc.claim.consumers import HANDLERS
from catalog_svc.matching.store import ItemEntry
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.catalog_events import OrganizationChanged, ResourceChanged, ResourceWithdrawn
from dxmesh_schemas.catalog_sources import SourceAssigned, SourceReleased

NOBODY = "00000000-0000-0000-0000-000000000000"


def persons(code: str = "id_number", name: str = "公民身份号码", **changes: Any) -> list[dict[str, Any]]:
    return [{"code": code, "name": name, "data_type": "C", "length": 18, **changes}]


async def department(node: Any, name: str, items: list[dict[str, Any]], *, resource: str = "人口信息", **changes: Any) -> Any:
    organization = await node.organization(name, **changes)
    system = await node.system(organization, f"{name}业务系统")
    return organization, await node.published(organization, system, name=resource, items=items, key=[])


async def claim(node: Any, organization: Any, resource: Any, item: str = "id_number") -> Any:
    body = {"resource_id": resource["resource_id"], "item": item}
    return await node.client.post("/v1/source-claims", json=body, headers=node.steward(organization))


async def told(node: Any, kind: type) -> list[Any]:
    return [event for event in await node.events() if isinstance(event, kind)]


async def test_the_first_claim_makes_an_item_the_source_and_the_same_claim_again_changes_nothing(node: Any) -> None:
    police, resource = await department(node, "公安局", persons())
    first = await claim(node, police, resource)
    assert first.status_code == 201, first.text
    made = first.json()
    assert (made["state"], made["division_code"], made["item_name"], made["doubtful"]) == ("held", "330600", "公民身份号码", [])
    again = await claim(node, police, resource)
    assert (again.status_code, again.json()["claim_id"]) == (200, made["claim_id"])
    [event] = await told(node, SourceAssigned)
    assert (str(event.resource_id), event.item, str(event.organization_id)) == (
        resource["resource_id"],
        "id_number",
        police["organization_id"],
    )
    read = await node.client.get(first.headers["location"], headers=node.headers(None))
    assert read.json()["claim_id"] == made["claim_id"]


@pytest.mark.parametrize(
    ("code", "name"),
    [("sfzh", "身份证号"), ("id_card", "居民身份证号码"), ("idno", "身份证 號碼(18位)"), ("gmsfhm", "公民身份号码")],
    ids=["synonym", "resident card", "traditional characters and a note", "the same name"],
)
async def test_a_second_claim_is_refused_naming_the_holder_and_how_to_arbitrate(node: Any, is_problem: Any, code: str, name: str) -> None:
    police, population = await department(node, "公安局", persons())
    assert (await claim(node, police, population)).status_code == 201
    civil, marriages = await department(node, "民政局", persons(code, name), resource="婚姻登记")
    refused = is_problem(await claim(node, civil, marriages, code), 409, "source-held")
    holder = refused["holder"]
    assert holder["organization"] == {
        "organization_id": police["organization_id"],
        "uscc": police["uscc"],
        "name": "公安局",
    }
    assert (holder["resource_id"], holder["item"], holder["item_name"]) == (population["resource_id"], "id_number", "公民身份号码")
    assert holder["similarity"] >= 0.9
    assert holder["reasons"]
    assert refused["arbitration"] == {
        "method": "POST",
        "href": "/v1/arbitrations",
        "body": {
            "resource_id": marriages["resource_id"],
            "item": code,
            "statement": "why this item should be the source",
        },
    }
    assert "公安局" in refused["detail"]
    assert len(await told(node, SourceAssigned)) == 1


async def test_a_division_has_a_source_of_its_own(node: Any) -> None:
    for name, division in (("绍兴市公安局", "330600"), ("杭州市公安局", "330100")):
        police, resource = await department(node, name, persons(), division_code=division)
        assert (await claim(node, police, resource)).status_code == 201


async def test_what_may_be_the_same_is_claimed_and_shown(node: Any) -> None:
    market, firms = await department(node, "市场监管局", persons("name", "企业名称"), resource="企业登记")
    assert (await claim(node, market, firms, "name")).status_code == 201
    civil, bodies = await department(node, "民政局", persons("name", "单位名称"), resource="社会组织")
    made = await claim(node, civil, bodies, "name")
    assert made.status_code == 201, made.text
    [doubt] = made.json()["doubtful"]
    assert (doubt["organization"]["name"], doubt["verdict"]) == ("市场监管局", "doubtful")


async def test_of_two_claims_at_once_exactly_one_wins(node: Any) -> None:
    sides = [
        await department(node, f"第{number}局", persons(f"c{number}", name))
        for number, name in enumerate(("身份证号", "身份证号码", "公民身份号码", "居民身份证号"))
    ]
    answers = await asyncio.gather(*(claim(node, side[0], side[1], f"c{number}") for number, side in enumerate(sides)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(await told(node, SourceAssigned)) == 1


async def test_an_own_second_item_is_refused_with_the_way_to_release_the_first(node: Any, is_problem: Any) -> None:
    police, resource = await department(node, "公安局", [*persons(), *persons("sfzh", "身份证号")])
    first = (await claim(node, police, resource)).json()
    refused = is_problem(await claim(node, police, resource, "sfzh"), 409, "source-held")
    assert refused["release"]["href"] == f"/v1/source-claims/{first['claim_id']}/release"
    path = refused["release"]["href"]
    is_problem(await node.client.post(path, json={"reason": " "}, headers=node.steward(police)), 422)
    done = await node.client.post(path, json={"reason": "合并"}, headers=node.steward(police))
    assert (done.json()["state"], done.json()["release_reason"]) == ("released", "合并")
    assert (await claim(node, police, resource, "sfzh")).status_code == 201
    again = is_problem(await node.client.post(path, json={"reason": "合并"}, headers=node.steward(police)), 409, "source-claim-released")
    assert again["released_at"]


@pytest.mark.parametrize(
    ("item", "what"),
    [("nothing_such", "has no item"), ("remark", "keeps a table"), ("copied", "those of another resource")],
)
async def test_an_item_that_is_no_data_element_is_no_source(node: Any, is_problem: Any, item: str, what: str) -> None:
    _, other = await department(node, "公安局", persons())
    reference = {"resource_id": other["resource_id"], "item": "id_number"}
    items = [*persons("remark", "备注"), *persons("copied", "身份证号", reference=reference)]
    civil, resource = await department(node, "民政局", items, resource="婚姻登记")
    refused = is_problem(await claim(node, civil, resource, item), 422, "source-claim-invalid")
    assert refused["errors"][0]["pointer"] == "/item"
    assert what in refused["errors"][0]["detail"]


async def test_drafts_strangers_and_nonsense_are_refused(node: Any, is_problem: Any) -> None:
    police, resource = await department(node, "公安局", persons())
    civil = await node.organization("民政局")
    is_problem(await claim(node, civil, resource), 403, "forbidden")
    is_problem(await claim(node, police, {"resource_id": NOBODY}), 404, "resource-not-found")
    system = await node.system(police, "新系统")
    draft = await node.resource(police, system, name="草稿", items=persons(), key=[])
    is_problem(await claim(node, civil, draft), 404, "resource-not-found")
    is_problem(await claim(node, police, draft), 409, "illegal-transition")
    for body in (
        {},
        {"resource_id": "x", "item": "a"},
        {"resource_id": NOBODY, "item": "身份证"},
        {"resource_id": NOBODY, "item": "a", "b": 1},
    ):
        is_problem(await node.client.post("/v1/source-claims", json=body, headers=node.steward(police)), 422)
    is_problem(await node.client.get(f"/v1/source-claims/{NOBODY}", headers=node.authority), 404, "source-claim-not-found")
    stranger = await node.client.post(f"/v1/source-claims/{NOBODY}/release", json={"reason": "x"}, headers=node.steward(civil))
    is_problem(stranger, 404, "source-claim-not-found")
    made = (await claim(node, police, resource)).json()
    foreign = await node.client.post(f"/v1/source-claims/{made['claim_id']}/release", json={"reason": "x"}, headers=node.steward(civil))
    is_problem(foreign, 403, "forbidden")


async def test_a_withdrawn_resource_holds_nothing_and_releases_its_claims(node: Any) -> None:
    police, population = await department(node, "公安局", persons())
    held = (await claim(node, police, population)).json()
    path = f"/v1/resources/{population['resource_id']}/withdrawal"
    assert (await node.client.post(path, json={"reason": "职责调整"}, headers=node.steward(police))).status_code == 200
    civil, marriages = await department(node, "民政局", persons("sfzh", "身份证号"), resource="婚姻登记")
    assert (await claim(node, civil, marriages, "sfzh")).status_code == 201, "before the event is handled"
    event = (await told(node, ResourceWithdrawn))[-1]
    await deliver(node.sessions, HANDLERS, event)
    after = (await node.client.get(f"/v1/source-claims/{held['claim_id']}", headers=node.authority)).json()
    assert after["state"] == "released"
    assert "职责调整" in after["release_reason"]
    [released] = await told(node, SourceReleased)
    assert str(released.claim_id) == held["claim_id"]
    await deliver(node.sessions, HANDLERS, event)
    assert len(await told(node, SourceReleased)) == 1


async def test_an_item_that_a_later_version_drops_is_no_source_any_more(node: Any) -> None:
    police, population = await department(node, "公安局", [*persons(), *persons("birth", "出生日期")])
    kept = (await claim(node, police, population)).json()
    dropped = (await claim(node, police, population, "birth")).json()
    path = f"/v1/resources/{population['resource_id']}/versions/1"
    snapshot = ResourceSnapshot.model_validate((await node.client.get(path, headers=node.authority)).json())
    later = snapshot.model_copy(update={"version": 2, "items": snapshot.items[:1]})
    await deliver(node.sessions, HANDLERS, ResourceChanged(resource_id=later.resource_id, resource=later))
    states = [
        (await node.client.get(f"/v1/source-claims/{one['claim_id']}", headers=node.authority)).json()["state"] for one in (kept, dropped)
    ]
    assert states == ["held", "released"]
    await deliver(node.sessions, HANDLERS, ResourceChanged(resource_id=later.resource_id, resource=snapshot))
    listed = await node.client.get("/v1/source-claims", params={"state": "held"}, headers=node.authority)
    assert [one["item"] for one in listed.json()["items"]] == ["id_number"], "an event of an older version changes nothing"


async def test_claims_are_listed_by_division_organization_resource_state_and_name(node: Any, is_problem: Any) -> None:
    police, population = await department(node, "公安局", [*persons(), *persons("birth", "出生日期")])
    for item in ("id_number", "birth"):
        assert (await claim(node, police, population, item)).status_code == 201
    for params, expected in (
        ({"division": "330600"}, 2),
        ({"division": "330100"}, 0),
        ({"organization": police["organization_id"]}, 2),
        ({"resource": population["resource_id"]}, 2),
        ({"state": "released"}, 0),
        ({"q": "出生"}, 1),
        ({"q": "%"}, 0),
    ):
        answer = await node.client.get("/v1/source-claims", params=params, headers=node.headers(None))
        assert len(answer.json()["items"]) == expected, params
    first = (await node.client.get("/v1/source-claims", params={"limit": 1}, headers=node.authority)).json()
    rest = (await node.client.get("/v1/source-claims", params={"cursor": first["next_cursor"]}, headers=node.authority)).json()
    assert [one["item"] for one in first["items"] + rest["items"]] == ["id_number", "birth"]
    for params in ({"division": "33060"}, {"state": "taken"}, {"cursor": "x"}, {"q": "a\x00"}):
        is_problem(await node.client.get("/v1/source-claims", params=params, headers=node.authority), 422)
    assert (await node.client.get("/v1/source-claims")).status_code == 401


async def test_a_synonym_of_the_node_joins_names_and_can_be_taken_back(node: Any, is_problem: Any) -> None:
    police, population = await department(node, "公安局", persons())
    assert (await claim(node, police, population)).status_code == 201
    civil, marriages = await department(node, "民政局", persons("hm", "户口本号牌"), resource="婚姻登记")
    put = await node.client.put("/v1/synonyms/户口本号牌", json={"concept": "身份证号"}, headers=node.authority)
    assert put.status_code == 200, put.text
    is_problem(await claim(node, civil, marriages, "hm"), 409, "source-held")
    compared = await node.client.get(
        "/v1/synonyms/comparison", params={"left": "户口本号牌", "right": "公民身份号码"}, headers=node.authority
    )
    assert compared.json()["verdict"] == "same"
    assert [one["term"] for one in (await node.client.get("/v1/synonyms", headers=node.authority)).json()["items"]] == ["户口本号牌"]
    assert (await node.client.delete("/v1/synonyms/户口本号牌", headers=node.authority)).status_code == 204
    assert (await claim(node, civil, marriages, "hm")).status_code == 201
    is_problem(await node.client.delete("/v1/synonyms/户口本号牌", headers=node.authority), 404, "synonym-not-found")


async def test_a_shipped_synonym_can_be_taken_out(node: Any) -> None:
    police, population = await department(node, "公安局", persons("phone", "联系电话"))
    assert (await claim(node, police, population, "phone")).status_code == 201
    civil, marriages = await department(node, "民政局", persons("mobile", "手机号码"), resource="婚姻登记")
    assert (await claim(node, civil, marriages, "mobile")).status_code == 409
    assert (await node.client.put("/v1/synonyms/手机号码", json={"concept": "手机号码"}, headers=node.authority)).status_code == 200
    assert (await claim(node, civil, marriages, "mobile")).status_code == 201


async def test_a_synonym_changed_later_brings_indexed_names_along(node: Any, is_problem: Any) -> None:
    police, population = await department(node, "公安局", persons("kin", "户主关系描述"))
    assert (await claim(node, police, population, "kin")).status_code == 201
    assert (await node.client.put("/v1/synonyms/户主关系描述", json={"concept": "与户主关系"}, headers=node.authority)).status_code == 200
    civil, families = await department(node, "民政局", persons("rel", "与户主关系"), resource="家庭")
    is_problem(await claim(node, civil, families, "rel"), 409, "source-held")


async def test_names_indexed_by_older_words_are_brought_to_those_in_force(node: Any, is_problem: Any) -> None:
    police, population = await department(node, "公安局", persons())
    assert (await claim(node, police, population)).status_code == 201
    async with node.sessions.begin() as tx:
        await tx.execute(update(ItemEntry).values(key="公民身份号", head=""))
    is_problem(await node.client.post("/v1/synonyms/rekeying", headers=node.steward(police)), 403)
    for expected in (1, 0):
        answer = await node.client.post("/v1/synonyms/rekeying", headers=node.authority)
        assert answer.json() == {"changed_count": expected}
    async with node.sessions() as session:
        assert list(await session.scalars(select(ItemEntry.key))) == ["公民身份号码"]


async def test_synonyms_are_changed_by_the_authority_alone_and_must_say_something(node: Any, is_problem: Any) -> None:
    civil = await node.organization("民政局")
    is_problem(await node.client.put("/v1/synonyms/户口本", json={"concept": "证"}, headers=node.steward(civil)), 403)
    for term, concept in (
        ("、、", "姓名"),
        ("户口本", "()"),
        ("户", "姓名"),
        ("户口本", ""),
        ("户\u200b口", "姓名"),
        ("户口本", "姓\x00名"),
    ):
        is_problem(await node.client.put(f"/v1/synonyms/{term}", json={"concept": concept}, headers=node.authority), 422)
    shipped = (await node.client.get("/v1/synonyms/shipped", headers=node.headers(None))).json()
    assert shipped[0][0] == "公民身份号码"
    assert "身份证号" in shipped[0]


async def test_an_organization_that_moves_takes_its_items_to_the_new_division(node: Any) -> None:
    police, population = await department(node, "公安局", persons())
    path = f"/v1/resources/{population['resource_id']}/versions/1"
    snapshot = ResourceSnapshot.model_validate((await node.client.get(path, headers=node.authority)).json())
    await deliver(node.sessions, HANDLERS, ResourceChanged(resource_id=snapshot.resource_id, resource=snapshot))
    body = {"name": "公安局", "level": "county", "division_code": "330602", "kind": "department"}
    moved = await node.client.put(f"/v1/organizations/{police['organization_id']}", json=body, headers=node.authority)
    assert moved.status_code == 200, moved.text
    event = next(one for one in await node.events() if isinstance(one, OrganizationChanged))
    await deliver(node.sessions, HANDLERS, event)
    await deliver(node.sessions, HANDLERS, event)
    async with node.sessions() as session:
        assert set(await session.scalars(select(ItemEntry.division_code))) == {"330602"}
