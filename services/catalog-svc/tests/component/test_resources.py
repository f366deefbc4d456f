import asyncio
from typing import Any

from jsonschema import Draft202012Validator
from sqlalchemy import select

from catalog_svc.resource.store import ResourceVersion
from dxmesh_schemas.catalog_events import ResourceChanged, ResourcePublished, ResourceWithdrawn

NOBODY = "00000000-0000-0000-0000-000000000000"


async def publish(node: Any, resource_id: str, **headers: str) -> Any:
    return await node.client.post(f"/v1/resources/{resource_id}/publish", headers=node.authority | headers)


async def reviewed(node: Any, draft: Any) -> Any:
    """Submit and approve a draft, then let the authority publish it; return the last answer."""
    await node.put_in_force(draft, "approval")
    return await publish(node, draft["resource_id"])


async def of_kind(node: Any, kind: type) -> list[Any]:
    return [event for event in await node.events() if isinstance(event, kind)]


async def test_a_draft_is_entered_published_and_told_to_the_mesh(node: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system, standing_consent={"approved_by": "局长"}, open_type="UNCONDITIONAL")
    assert (draft["state"], draft["version"], draft["has_draft"], draft["schema_url"]) == ("draft", None, True, None)
    assert draft["resource_code"] == "33010201/000001"
    assert draft["sharing_type"] == "UNCONDITIONAL"
    assert [item["required"] for item in draft["items"]] == [True, True, False]
    answer = await reviewed(node, draft)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["state"], made["version"], made["has_draft"]) == ("published", 1, False)
    [event] = await of_kind(node, ResourcePublished)
    snapshot = event.resource
    assert snapshot.provider.uscc == organization["uscc"]
    assert snapshot.standing_consent.approved_by == "局长"
    assert snapshot.schema_url == f"http://catalog.test/v1/resources/{draft['resource_id']}/versions/1/schema.json"
    assert [item.code for item in snapshot.items] == ["street_code", "street_name", "households"]
    assert (await node.client.get(f"/v1/resources/{draft['resource_id']}/versions/1", headers=node.headers(None))).json() == (
        snapshot.model_dump(mode="json")
    )


async def test_the_schema_of_a_version_is_public_and_valid(node: Any, is_problem: Any) -> None:
    made = await node.published(*await node.provider())
    answer = await node.client.get(made["schema_url"].removeprefix("http://catalog.test"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    assert "immutable" in answer.headers["cache-control"]
    schema = answer.json()
    assert schema["$id"] == made["schema_url"]
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid({"street_code": "330602001", "street_name": "塔山街道", "households": None})
    for path in (f"{made['resource_id']}/versions/2", f"{NOBODY}/versions/1"):
        is_problem(await node.client.get(f"/v1/resources/{path}/schema.json"), 404, "resource-not-found")


async def test_a_second_version_is_a_change_and_the_first_stays_as_it_was(node: Any, good_entry: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    path = f"/v1/resources/{made['resource_id']}"
    first = (await node.client.get(f"{path}/versions/1", headers=node.authority)).json()
    items = [*good_entry(system)["items"], good_item("phone")]
    changed = await node.client.put(path, json=good_entry(system, items=items, name="街道名录"), headers=node.steward(organization))
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["has_draft"], changed.json()["version"]) == ("街道名录", True, 1)
    others = (await node.client.get(path, headers=node.headers(None))).json()
    assert (others["name"], others["has_draft"], len(others["items"])) == (made["name"], False, 3)
    assert (await reviewed(node, made)).json()["version"] == 2
    assert (await node.client.get(f"{path}/versions/1", headers=node.authority)).json() == first
    assert (await node.client.get(path, headers=node.headers(None))).json()["name"] == "街道名录"
    [event] = await of_kind(node, ResourceChanged)
    assert (event.resource.version, event.resource.name, len(event.resource.items)) == (2, "街道名录", 4)
    listed = (await node.client.get(f"{path}/versions", params={"limit": 1}, headers=node.headers(None))).json()
    rest = (await node.client.get(f"{path}/versions", params={"cursor": listed["next_cursor"]}, headers=node.headers(None))).json()
    assert [one["version"] for one in listed["items"] + rest["items"]] == [1, 2]


async def test_an_item_that_was_taken_out_comes_back_as_the_type_it_had(
    node: Any, is_problem: Any, good_entry: Any, good_item: Any
) -> None:
    organization, system = await node.provider()
    items = good_entry(system)["items"]
    made = await node.published(organization, system, items=[*items, good_item("phone", data_type="C")])
    path, headers = f"/v1/resources/{made['resource_id']}", node.steward(organization)
    assert (await node.client.put(path, json=good_entry(system), headers=headers)).status_code == 200
    assert (await reviewed(node, made)).json()["version"] == 2
    retyped = good_entry(system, items=[*items, good_item("phone", data_type="I")])
    refused = is_problem(await node.client.put(path, json=retyped, headers=headers), 422, "resource-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/items/3/data_type"]
    same = good_entry(system, items=[*items, good_item("phone", data_type="M")])
    assert (await node.client.put(path, json=same, headers=headers)).status_code == 200


async def test_publishing_what_did_not_change_is_a_conflict(node: Any, is_problem: Any) -> None:
    made = await node.published(*await node.provider())
    assert is_problem(await publish(node, made["resource_id"]), 409, "illegal-transition")["state"] == "published"
    is_problem(await publish(node, NOBODY), 404, "resource-not-found")


async def test_two_publications_at_once_make_one_version(node: Any) -> None:
    draft = await node.resource(*await node.provider())
    await node.put_in_force(draft, "approval")
    answers = await asyncio.gather(*(publish(node, draft["resource_id"]) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(await of_kind(node, ResourcePublished)) == 1


async def test_a_withdrawn_resource_stays_readable_and_changes_no_more(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    path = f"/v1/resources/{made['resource_id']}"
    for reason in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "a\x00"}):
        is_problem(await node.client.post(f"{path}/withdrawal", json=reason, headers=node.steward(organization)), 422)
    gone = await node.client.post(f"{path}/withdrawal", json={"reason": "职责调整"}, headers=node.steward(organization))
    assert gone.status_code == 200, gone.text
    assert (gone.json()["state"], gone.json()["withdrawal_reason"]) == ("withdrawn", "职责调整")
    [event] = await of_kind(node, ResourceWithdrawn)
    assert event.reason == "职责调整"
    assert (await node.client.get(path, headers=node.headers(None))).json()["state"] == "withdrawn"
    again = await node.client.post(f"{path}/withdrawal", json={"reason": "x"}, headers=node.steward(organization))
    is_problem(again, 409, "illegal-transition")
    is_problem(await publish(node, made["resource_id"]), 409, "illegal-transition")
    is_problem(await node.client.put(path, json=good_entry(system), headers=node.steward(organization)), 409, "illegal-transition")
    for state, expected in ((None, 0), ("withdrawn", 1), ("published", 0)):
        listed = await node.client.get("/v1/resources", params={"state": state} if state else {}, headers=node.headers(None))
        assert len(listed.json()["items"]) == expected
    await node.resource(organization, system)


async def test_a_draft_is_not_withdrawn(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    path = f"/v1/resources/{draft['resource_id']}/withdrawal"
    is_problem(await node.client.post(path, json={"reason": "x"}, headers=node.steward(organization)), 409, "illegal-transition")


async def test_anothers_draft_is_answered_like_one_that_does_not_exist(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("乙局")
    draft = await node.resource(organization, system)
    path = f"/v1/resources/{draft['resource_id']}"
    for headers in (node.steward(other), node.headers(None, "operator", "auditor"), node.headers(None, "steward")):
        refused = is_problem(await node.client.get(path, headers=headers), 404, "resource-not-found")
        absent = is_problem(await node.client.get(f"/v1/resources/{NOBODY}", headers=headers), 404, "resource-not-found")
        assert refused["detail"].replace(draft["resource_id"], NOBODY) == absent["detail"]
        is_problem(await node.client.put(path, json=good_entry(system), headers=headers), 404)
        is_problem(await node.client.post(f"{path}/withdrawal", json={"reason": "x"}, headers=headers), 404)
        is_problem(await node.client.get(f"{path}/versions", headers=headers), 404)
        is_problem(await node.client.get(f"{path}/versions/1", headers=headers), 404)
        assert (await node.client.get("/v1/resources", headers=headers)).json()["items"] == []
    for headers in (node.steward(organization), node.headers(organization["organization_id"], "auditor"), node.authority):
        assert (await node.client.get(path, headers=headers)).status_code == 200
        assert len((await node.client.get("/v1/resources", headers=headers)).json()["items"]) == 1
    await reviewed(node, draft)
    is_problem(await node.client.put(path, json=good_entry(system), headers=node.steward(other)), 403, "forbidden")
    is_problem(await node.client.post(f"{path}/withdrawal", json={"reason": "x"}, headers=node.steward(other)), 403, "forbidden")


async def test_only_the_authority_publishes(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    path = f"/v1/resources/{draft['resource_id']}/publish"
    is_problem(await node.client.post(path, headers=node.steward(organization)), 403, "forbidden")


async def test_entering_a_resource_needs_a_steward_and_a_system_of_ones_own(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("乙局")
    refused = is_problem(await node.client.post("/v1/resources", json=good_entry(system), headers=node.steward(other)), 422)
    absent = {"system_id": NOBODY}
    unknown = is_problem(await node.client.post("/v1/resources", json=good_entry(absent), headers=node.steward(other)), 422)
    assert refused["errors"] == unknown["errors"]
    assert refused["errors"][0]["pointer"] == "/system_id"
    auditor = node.headers(organization["organization_id"], "auditor")
    is_problem(await node.client.post("/v1/resources", json=good_entry(system), headers=auditor), 403, "forbidden")
    by_authority = await node.made("/v1/resources", good_entry(system), node.authority)
    assert by_authority["provider"]["organization_id"] == organization["organization_id"]
    foreign = await node.system(other, "另一系统")
    path = f"/v1/resources/{by_authority['resource_id']}"
    moved = is_problem(await node.client.put(path, json=good_entry(foreign), headers=node.authority), 422)
    assert moved["errors"][0]["pointer"] == "/system_id"


async def test_an_item_may_refer_to_a_published_resource_and_to_its_own(
    node: Any, is_problem: Any, good_entry: Any, good_item: Any
) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system, name="区名录", items=[good_item("area_code")], key=["area_code"])
    reference = {"resource_id": draft["resource_id"], "item": "area_code"}
    items = [good_item("street_code"), good_item("area", reference=reference)]
    body = good_entry(system, items=items)
    refused = await node.client.post("/v1/resources", json=body, headers=node.steward(organization))
    assert is_problem(refused, 422)["errors"][0]["pointer"] == "/items/1/reference/resource_id"
    await reviewed(node, draft)
    made = await node.made("/v1/resources", body, node.steward(organization))
    own = {"resource_id": made["resource_id"], "item": "street_code"}
    body["items"].append(good_item("parent", reference=own))
    path = f"/v1/resources/{made['resource_id']}"
    assert (await node.client.put(path, json=body, headers=node.steward(organization))).status_code == 200
    await node.put_in_force(made, "approval")
    withdrawn = await node.client.post(f"/v1/resources/{draft['resource_id']}/withdrawal", json={"reason": "x"}, headers=node.authority)
    assert withdrawn.status_code == 200
    refused = await publish(node, made["resource_id"])
    assert is_problem(refused, 422)["errors"][0]["pointer"] == "/items/1/reference/resource_id"
    assert (await node.client.get(path, headers=node.steward(organization))).json()["state"] == "approved"


async def test_a_name_is_taken_once_per_provider_however_it_is_written(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    first = await node.resource(organization, system, name="GIS（一）名录")
    for name in ("GIS（一）名录", "gis(一)名录"):
        answer = await node.client.post("/v1/resources", json=good_entry(system, name=name), headers=node.steward(organization))
        body = is_problem(answer, 409, "resource-name-taken")
        assert (body["resource_id"], body["errors"][0]["pointer"]) == (first["resource_id"], "/name")
    other = await node.organization("乙局")
    await node.resource(other, await node.system(other, "x"), name="GIS（一）名录")
    answers = await asyncio.gather(
        *(node.client.post("/v1/resources", json=good_entry(system, name="同名"), headers=node.steward(organization)) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_two_drafts_of_one_name_are_not_both_published(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    one = await node.published(organization, system, name="甲名录")
    other = await node.published(organization, system, name="乙名录")
    for made in (one, other):
        path = f"/v1/resources/{made['resource_id']}"
        renamed = await node.client.put(path, json=good_entry(system, name="丙名录"), headers=node.steward(organization))
        assert renamed.status_code == 200, renamed.text
    await node.put_in_force(other, "approval")
    assert (await reviewed(node, one)).status_code == 200
    is_problem(await publish(node, other["resource_id"]), 409, "resource-name-taken")


async def test_codes_count_up_by_class_and_follow_a_draft_to_another_class(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    codes = [(await node.resource(organization, system, name=f"第{n}册", class_path="3/30"))["resource_code"] for n in range(3)]
    assert codes == ["330000/000001", "330000/000002", "330000/000003"]
    other = await node.resource(organization, system, name="另册", class_path="1/01")
    assert other["resource_code"] == "101000/000001"
    path = f"/v1/resources/{other['resource_id']}"
    moved = await node.client.put(path, json=good_entry(system, name="另册", class_path="3/30"), headers=node.steward(organization))
    assert moved.json()["resource_code"] == "330000/000004"
    await reviewed(node, other)
    fixed = await node.client.put(path, json=good_entry(system, name="另册", class_path="1/01"), headers=node.steward(organization))
    assert fixed.status_code == 422
    assert fixed.json()["errors"][0]["pointer"] == "/class_path"


async def test_a_change_is_made_on_the_revision_that_was_read_or_not_at_all(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    path, headers = f"/v1/resources/{draft['resource_id']}", node.steward(organization)
    tag = (await node.client.get(path, headers=headers)).headers["etag"]
    changed = await node.client.put(path, json=good_entry(system, summary="一"), headers=headers | {"If-Match": tag})
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] != tag
    for stale in (tag, f"W/{changed.headers['etag']}", '"x"', "nonsense", '"999999999999999999999999"', "", '"²"'.encode()):
        refused = await node.client.put(path, json=good_entry(system, summary="二"), headers=headers | {"If-Match": stale})
        assert is_problem(refused, 412, "revision-passed")["revision"] == 2, stale
    for good in (f'"7", {changed.headers["etag"]}', "*"):
        assert (await node.client.put(path, json=good_entry(system, summary="三"), headers=headers | {"If-Match": good})).status_code in (
            200,
            412,
        )
    await node.put_in_force(draft, "approval")
    is_problem(await publish(node, draft["resource_id"], **{"If-Match": tag}), 412, "revision-passed")
    fresh = (await node.client.get(path, headers=headers)).headers["etag"]
    assert (await publish(node, draft["resource_id"], **{"If-Match": fresh})).status_code == 200


async def test_a_definition_too_large_for_an_event_is_refused_when_it_is_published(node: Any, is_problem: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    items = [good_item(f"c{n}", name=f"项{n}", description="长" * 200) for n in range(1000)]  # the event says of each what it is not, too
    draft = await node.resource(organization, system, items=items, key=[])
    await node.put_in_force(draft, "approval")
    assert is_problem(await publish(node, draft["resource_id"]), 422, "resource-invalid")["errors"][0]["pointer"] == "/items"
    assert await of_kind(node, ResourcePublished) == []
    async with node.sessions() as tx:
        assert (await tx.scalars(select(ResourceVersion))).all() == []


async def test_a_definition_that_fits_no_event_is_refused_when_it_is_entered(
    node: Any, is_problem: Any, good_entry: Any, good_item: Any
) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    entry = good_entry(system, items=[good_item("a", enumeration=["x" * 1_000_000])], key=[])
    for method, path in (("POST", "/v1/resources"), ("PUT", f"/v1/resources/{draft['resource_id']}")):
        answer = await node.client.request(method, path, json=entry, headers=node.steward(organization))
        assert [one["pointer"] for one in is_problem(answer, 422, "resource-invalid")["errors"]] == ["/items"]


async def test_resources_are_found_by_text_and_provider(node: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("乙局")
    await node.published(organization, system, name="婚姻名录", summary="全市的婚姻登记")
    await node.published(other, await node.system(other, "x"), name="学校名录", class_path="1/01")

    async def found(**params: Any) -> list[str]:
        answer = await node.client.get("/v1/resources", params=params, headers=node.headers(None))
        return [one["name"] for one in answer.json()["items"]]

    assert await found() == ["婚姻名录", "学校名录"]
    assert await found(q="登记") == ["婚姻名录"]
    assert await found(q="101000/") == ["学校名录"]
    assert await found(q="%") == []
    assert await found(provider=other["organization_id"]) == ["学校名录"]
    assert await found(provider=NOBODY) == []
    assert await found(state="draft") == []
    first = (await node.client.get("/v1/resources", params={"limit": 1}, headers=node.headers(None))).json()
    assert await found(limit=1, cursor=first["next_cursor"]) == ["学校名录"]
