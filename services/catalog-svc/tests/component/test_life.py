"""A draft's way into force: who takes which step, in what order, and what is written down."""

import asyncio
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from catalog_svc.app import create_app
from dxmesh_runtime.testing import serving
from dxmesh_schemas.catalog_events import ResourceApproved, ResourcePublished, ResourceReturned, ResourceSubmitted

ASSESSED = {
    "secrecy_risk": {"outcome": "passed", "assessed_by": "保密办"},
    "personal_information": {"outcome": "none", "assessed_by": "法规处"},
}
RETURN = {"reason": "请补正", "faults": [{"pointer": "/summary", "detail": "写明范围"}]}
STEPS = ("submission", "approval", "return", "publish", "withdrawal")
BODIES: dict[str, Any] = {"submission": {}, "approval": ASSESSED, "return": RETURN, "publish": {}, "withdrawal": {"reason": "职责调整"}}


async def take(node: Any, made: Any, what: str, headers: Any, body: Any = None) -> Any:
    given = BODIES[what] if body is None else body
    return await node.client.post(f"/v1/resources/{made['resource_id']}/{what}", json=given, headers=headers)


async def steps(node: Any, made: Any) -> list[dict[str, Any]]:
    answer = await node.client.get(f"/v1/resources/{made['resource_id']}/steps", headers=node.authority)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def of_kind(node: Any, kind: type) -> list[Any]:
    return [event for event in await node.events() if isinstance(event, kind)]


async def test_a_resource_goes_from_its_steward_by_its_cdo_to_the_authority(node: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    assert (draft["state"], draft["draft_state"], draft["responsible_role"]) == ("draft", "draft", "steward")
    submitted = (await take(node, draft, "submission", node.steward(organization), {"reason": "年度编目"})).json()
    assert (submitted["state"], submitted["draft_state"], submitted["responsible_role"]) == ("submitted", "submitted", "cdo")
    approved = (await take(node, draft, "approval", node.cdo(organization), ASSESSED | {"reason": "同意"})).json()
    assert (approved["state"], approved["draft_state"], approved["responsible_role"]) == ("approved", "approved", "authority")
    published = (await take(node, draft, "publish", node.authority, {"reason": "审核通过"})).json()
    assert (published["state"], published["draft_state"], published["responsible_role"]) == ("published", None, "steward")
    withdrawn = (await take(node, draft, "withdrawal", node.steward(organization))).json()
    assert (withdrawn["state"], withdrawn["draft_state"], withdrawn["responsible_role"]) == ("withdrawn", None, None)
    gone = await steps(node, draft)
    assert [(step["step"], step["role"], step["reason"], step["version"]) for step in gone] == [
        ("drafted", "steward", None, 1),
        ("submitted", "steward", "年度编目", 1),
        ("approved", "cdo", "同意", 1),
        ("published", "authority", "审核通过", 1),
        ("withdrawn", "steward", "职责调整", 1),
    ]
    assert [step["revision"] for step in gone] == [1, 2, 3, 4, 5]
    assert {step["by"] for step in gone} == {"test-client"}
    assert [step["at"] for step in gone] == sorted(step["at"] for step in gone)
    assert gone[2]["assessments"]["secrecy_risk"] == ASSESSED["secrecy_risk"] | {"assessed_on": None, "note": None}
    [told], [agreed] = await of_kind(node, ResourceSubmitted), await of_kind(node, ResourceApproved)
    assert (str(told.resource_id), told.version, told.revision, told.provider.name) == (draft["resource_id"], 1, 2, organization["name"])
    assert (agreed.revision, agreed.approved_by) == (3, "test-client")


async def test_nothing_is_published_that_was_not_approved(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    refused = is_problem(await take(node, draft, "publish", node.authority), 409, "illegal-transition")
    assert (refused["draft_state"], refused["responsible_role"]) == ("draft", "steward")
    is_problem(await take(node, draft, "approval", node.cdo(organization)), 409, "illegal-transition")
    await node.put_in_force(draft, "submission")
    refused = is_problem(await take(node, draft, "publish", node.authority), 409, "illegal-transition")
    assert (refused["draft_state"], refused["responsible_role"]) == ("submitted", "cdo")
    assert await of_kind(node, ResourcePublished) == []


async def test_each_step_is_its_roles_and_its_organizations(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("乙局")
    own = organization["organization_id"]
    draft = await node.resource(organization, system)

    async def refused_to(what: str, *callers: Any) -> None:
        for headers in callers:
            is_problem(await take(node, draft, what, headers), 403, "forbidden")
        for headers in (node.steward(other), node.cdo(other), node.headers(None, "steward", "cdo", "operator")):
            is_problem(await take(node, draft, what, headers), 404 if what != "publish" else 403)

    await refused_to("submission", node.authority, node.cdo(organization), node.headers(own, "auditor"))
    await node.put_in_force(draft, "submission")
    await refused_to("approval", node.authority, node.steward(organization))
    await refused_to("return", node.steward(organization), node.headers(own, "operator"))
    assert (await take(node, draft, "approval", node.cdo(organization))).status_code == 200
    await refused_to("publish", node.steward(organization), node.cdo(organization))
    assert (await take(node, draft, "publish", node.authority)).status_code == 200


async def test_one_client_may_hold_every_role(node: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    headers = node.headers(organization["organization_id"], "steward", "cdo", "authority")
    for what in ("submission", "approval", "publish"):
        assert (await take(node, draft, what, headers)).status_code == 200
    assert [step["role"] for step in await steps(node, draft)] == ["steward", "steward", "cdo", "authority"]


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"steward": ...}, ["/steward"]),
        ({"sharing_type": "CONDITIONAL", "sharing_condition": "限查验"}, ["/sharing_reason", "/sharing_purposes"]),
        ({"open_type": "CONDITIONAL"}, ["/open_condition"]),
    ],
)
async def test_a_draft_may_lack_what_a_submission_may_not(
    node: Any, is_problem: Any, good_entry: Any, changes: dict[str, Any], pointers: list[str]
) -> None:
    organization, system = await node.provider()
    draft = await node.made("/v1/resources", good_entry(system, **changes), node.steward(organization))
    refused = is_problem(await take(node, draft, "submission", node.steward(organization)), 422, "resource-invalid")
    assert [error["pointer"] for error in refused["errors"]] == pointers
    assert len(await steps(node, draft)) == 1


async def test_a_draft_goes_back_with_all_its_faults_in_one_notice(node: Any, is_problem: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    codes = await node.client.put("/v1/code-sets/codes", json={"title": "码", "codes": ["1"]}, headers=node.authority)
    assert codes.status_code == 201
    target = await node.published(organization, system, name="区名录", items=[good_item("area_code")], key=["area_code"])
    items = [good_item("street_code"), good_item("area", reference={"resource_id": target["resource_id"], "item": "area_code"})]
    draft = await node.resource(organization, system, items=items)
    await node.put_in_force(draft, "approval")
    assert (await take(node, target, "withdrawal", node.authority)).status_code == 200
    back = await take(node, draft, "return", node.authority)
    assert back.status_code == 200, back.text
    assert (back.json()["state"], back.json()["draft_state"], back.json()["responsible_role"]) == ("draft", "draft", "steward")
    last = (await steps(node, draft))[-1]
    assert (last["step"], last["role"], last["reason"]) == ("returned", "authority", "请补正")
    assert [fault["pointer"] for fault in last["faults"]] == ["/summary", "/items/1/reference/resource_id"]
    [event] = await of_kind(node, ResourceReturned)
    assert (event.reason, event.fault_count, event.was_announced) == ("请补正", 2, False)
    is_problem(await take(node, draft, "return", node.authority), 409, "illegal-transition")


@pytest.mark.parametrize(
    ("what", "body", "pointer"),
    [
        ("return", {}, "/reason"),
        ("return", {"reason": " "}, "/reason"),
        ("return", {"reason": "x", "faults": [{"pointer": "summary", "detail": "x"}]}, "/faults/0/pointer"),
        ("return", {"reason": "x", "faults": [{"pointer": "/nothing", "detail": "x"}]}, "/faults/0/pointer"),
        ("return", {"reason": "x", "faults": [{"pointer": "/name", "detail": ""}]}, "/faults/0/detail"),
        ("return", {"reason": "x", "faults": [{"pointer": "/name"}] * 201}, "/faults"),
        ("approval", {}, "/secrecy_risk"),
        ("approval", ASSESSED | {"secrecy_risk": {"outcome": "passed"}}, "/secrecy_risk/assessed_by"),
        ("approval", ASSESSED | {"secrecy_risk": {"outcome": "fine", "assessed_by": "x"}}, "/secrecy_risk/outcome"),
        ("approval", ASSESSED | {"secrecy_risk": {"outcome": "failed", "assessed_by": "x"}}, "/secrecy_risk/outcome"),
        ("approval", ASSESSED | {"personal_information": {"outcome": "failed", "assessed_by": "x"}}, "/personal_information/outcome"),
        (
            "approval",
            ASSESSED | {"personal_information": {"outcome": "none", "assessed_by": "\u200b"}},
            "/personal_information/assessed_by",
        ),
        ("approval", ASSESSED | {"signed": True}, "/signed"),
    ],
)
async def test_a_bad_step_is_answered_with_its_field(node: Any, is_problem: Any, what: str, body: Any, pointer: str) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    await node.put_in_force(draft, "submission")
    refused = is_problem(await take(node, draft, what, node.cdo(organization), body), 422)
    assert pointer in {error["pointer"] for error in refused["errors"]}
    assert [step["step"] for step in await steps(node, draft)] == ["drafted", "submitted"]


async def test_personal_information_in_the_items_must_have_been_assessed(node: Any, is_problem: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    items = [good_item("street_code"), good_item("phone", sensitivity="PERSONAL")]
    draft = await node.resource(organization, system, items=items)
    await node.put_in_force(draft, "submission")
    refused = is_problem(await take(node, draft, "approval", node.cdo(organization)), 422, "approval-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/personal_information/outcome"]
    body = ASSESSED | {"personal_information": {"outcome": "passed", "assessed_by": "法规处", "assessed_on": "2026-11-20"}}
    assert (await take(node, draft, "approval", node.cdo(organization), body)).json()["draft_state"] == "approved"


async def test_what_changes_after_submission_is_a_draft_again(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    for until in ("submission", "approval"):
        await node.put_in_force(draft, until)
        path = f"/v1/resources/{draft['resource_id']}"
        changed = await node.client.put(path, json=good_entry(system, summary=until), headers=node.steward(organization))
        assert (changed.json()["state"], changed.json()["draft_state"]) == ("draft", "draft")
        is_problem(await take(node, draft, "publish", node.authority), 409, "illegal-transition")


async def test_a_later_version_goes_the_same_way_while_the_first_stays_in_force(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    path = f"/v1/resources/{made['resource_id']}"
    await node.client.put(path, json=good_entry(system, summary="新"), headers=node.steward(organization))
    for what, headers, expected in (
        ("submission", node.steward(organization), ("published", "submitted", "cdo")),
        ("approval", node.cdo(organization), ("published", "approved", "authority")),
    ):
        answer = (await take(node, made, what, headers)).json()
        assert (answer["state"], answer["draft_state"], answer["responsible_role"]) == expected
        others = (await node.client.get(path, headers=node.headers(None))).json()
        assert (others["version"], others["draft_state"], others["responsible_role"], others["summary"]) == (
            1,
            None,
            "steward",
            made["summary"],
        )
    assert (await take(node, made, "publish", node.authority)).json()["version"] == 2
    assert [step["version"] for step in await steps(node, made)] == [1, 1, 1, 1, 2, 2, 2, 2]


async def test_the_drafts_that_wait_are_listed_by_where_they_stand(node: Any) -> None:
    organization, system = await node.provider()
    made = {until: await node.resource(organization, system, name=f"{until}名录") for until in ("draft", "submission", "approval")}
    for until in ("submission", "approval"):
        await node.put_in_force(made[until], until)

    async def listed(headers: Any, **params: Any) -> list[str]:
        answer = await node.client.get("/v1/resources", params=params, headers=headers)
        return [one["name"] for one in answer.json()["items"]]

    assert await listed(node.authority, draft_state="approved") == ["approval名录"]
    assert await listed(node.cdo(organization), draft_state="submitted") == ["submission名录"]
    assert await listed(node.authority, state="submitted") == ["submission名录"]
    assert await listed(node.headers(None, "operator"), draft_state="approved") == []
    assert await listed(node.steward(await node.organization("乙局")), draft_state="approved") == []


async def test_the_steps_of_a_resource_are_its_providers_and_the_authoritys(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    path = f"/v1/resources/{draft['resource_id']}/steps"
    other = node.steward(await node.organization("乙局"))
    is_problem(await node.client.get(path, headers=other), 404, "resource-not-found")
    await node.put_in_force(draft)
    is_problem(await node.client.get(path, headers=other), 403, "forbidden")
    first = (await node.client.get(path, params={"limit": 2}, headers=node.steward(organization))).json()
    rest = (await node.client.get(path, params={"cursor": first["next_cursor"]}, headers=node.steward(organization))).json()
    assert [step["step"] for step in first["items"] + rest["items"]] == ["drafted", "submitted", "approved", "published"]


@pytest.mark.parametrize("what", STEPS)
async def test_two_at_once_take_a_step_on_the_revision_they_read_or_not_at_all(
    node: Any, is_problem: Any, good_entry: Any, what: str
) -> None:
    organization, system = await node.provider()
    made = await node.resource(organization, system)
    before = {"approval": "submission", "return": "submission", "publish": "approval", "withdrawal": "publish"}
    if what in before:
        made = await node.put_in_force(made, before[what])
    headers = {"submission": node.steward(organization), "publish": node.authority, "withdrawal": node.steward(organization)}.get(
        what, node.cdo(organization)
    )
    path = f"/v1/resources/{made['resource_id']}"
    tag = (await node.client.get(path, headers=headers)).headers["etag"]
    stale = f'"{int(tag.strip(chr(34))) - 1}"'
    for wrong in (stale, f"W/{tag}", '"nonsense"'):
        refused = is_problem(await take(node, made, what, headers | {"If-Match": wrong}), 412, "revision-passed")
        assert f'"{refused["revision"]}"' == tag
    answers = await asyncio.gather(*(take(node, made, what, headers | {"If-Match": tag}) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412]
    assert next(answer for answer in answers if answer.status_code == 200).headers["etag"] != tag


async def test_a_code_is_never_given_out_again(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    first = await node.published(organization, system)
    assert (await take(node, first, "withdrawal", node.steward(organization))).status_code == 200
    again = await node.resource(organization, system)
    assert (first["resource_code"], again["resource_code"]) == ("33010201/000001", "33010201/000002")
    path = f"/v1/resources/{again['resource_id']}"
    moved = await node.client.put(path, json=good_entry(system, class_path="3/31"), headers=node.steward(organization))
    assert moved.json()["resource_code"] == "331000/000001"
    assert (await node.resource(organization, system, name="又一册"))["resource_code"] == "33010201/000003"


async def test_a_node_may_code_by_provider(node: Any, good_entry: Any) -> None:
    policy = node.settings.resource.model_copy(update={"code_scheme": "provider"})
    async with serving(create_app(node.settings.model_copy(update={"resource": policy}))) as client:
        node.client = client
        organization, system = await node.provider()
        first = await node.published(organization, system)
        second = await node.resource(organization, system, name="又一册", class_path="1/01")
        assert [one["resource_code"] for one in (first, second)] == [f"{organization['uscc']}/{number:06d}" for number in (1, 2)]
        path = f"/v1/resources/{second['resource_id']}"
        body = good_entry(system, name="又一册", class_path="3/30")
        moved = await client.put(path, json=body, headers=node.steward(organization))
        assert moved.json()["resource_code"] == second["resource_code"], "the code says whose it is, not of which class"


async def test_the_profile_says_what_an_entry_must_be(node: Any, good_entry: Any) -> None:
    answer = await node.client.get("/v1/resources/profile.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    Draft202012Validator.check_schema(schema)
    good = good_entry({"system_id": "00000000-0000-0000-0000-000000000001"})
    assert Draft202012Validator(schema).is_valid(good)
    for wrong in ({"class_path": "4"}, {"data_level": 5}, {"items": []}, {"misspelt": 1}, {"video": {"code": "1"}}):
        assert not Draft202012Validator(schema).is_valid(good | wrong), wrong
    assert schema["x-formats"]["DATABASE"]["modes"] == ["DATABASE", "API"]


async def test_a_credential_may_approve_for_its_department(node: Any) -> None:
    organization = await node.organization()
    path = f"/v1/organizations/{organization['organization_id']}/credentials"
    made = await node.made(path, {"name": "首席数据官", "roles": ["cdo", "steward"]}, node.authority)
    auth = (made["client_id"], made["client_secret"])
    token = await node.client.post("/oauth/token", data={"grant_type": "client_credentials", "scope": "cdo"}, auth=auth)
    assert token.json()["scope"] == "cdo"
