"""Entering many resources at once: each line by itself, with a report that says what to do."""

import json
from typing import Any

import pytest

from benchmarks import catalog_t5
from dxmesh_schemas.catalog_events import ResourcePublished

NDJSON = "application/x-ndjson"
KEEPER = ("steward", "cdo", "authority")
ASSESSED = catalog_t5.ASSESSMENTS


def line(name: str, **changes: Any) -> dict[str, Any]:
    body = {
        "system": "婚姻登记系统",
        "name": name,
        "summary": "一项信息资源",
        "class_path": "3/30/102/01",
        "items": [{"code": "a", "name": "编号", "data_type": "C"}],
        "update_cycle": "MONTHLY",
        "steward": "数据管理岗",
    } | changes
    return {key: value for key, value in body.items() if value is not ...}


async def send(node: Any, headers: dict[str, str], *lines: Any, until: str = "draft") -> dict[str, Any]:
    body = "\n".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in lines)
    answer = await node.client.post(
        "/v1/resources/import", params={"until": until}, content=body.encode(), headers=headers | {"Content-Type": NDJSON}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_good_lines_are_entered_and_bad_ones_are_named_by_row_and_field(node: Any) -> None:
    organization, _ = await node.provider()
    report = await send(
        node,
        node.steward(organization),
        line("一"),
        "",
        line("二", class_path="9", update_cycle="SOMETIMES"),
        "{not json",
        "[1]",
        line("三", system="没有的系统"),
        line("四", items=[{"code": "a_", "name": "编号", "data_type": "C"}]),
        line("五", nonsense=1),
        line("六"),
    )
    assert report["counts"] == {"entered": 2, "changed": 0, "advanced": 0, "unchanged": 0, "refused": 6}
    told = {one["row"]: one for one in report["rows"]}
    assert sorted(told) == [1, 3, 4, 5, 6, 7, 8, 9]
    assert told[1]["outcome"] == told[9]["outcome"] == "entered"
    assert told[1]["state"] == "draft"
    assert {error["pointer"] for error in told[3]["errors"]} == {"/class_path", "/update_cycle"}
    assert told[4]["slug"] == told[5]["slug"] == "unreadable"
    assert told[6]["errors"] == [
        {"pointer": "/system", "detail": "the provider has no system '没有的系统'; register it first under /v1/systems"}
    ]
    assert told[7]["errors"][0]["pointer"] == "/items/0/code"
    assert told[8]["errors"][0]["pointer"] == "/nonsense"
    listed = (await node.client.get("/v1/resources", headers=node.steward(organization))).json()["items"]
    assert sorted(one["name"] for one in listed) == ["一", "六"]


async def test_a_second_import_leaves_what_is_equal_and_changes_what_differs(node: Any) -> None:
    organization, _ = await node.provider()
    steward = node.steward(organization)
    first = await send(node, steward, line("一"), line("二"))
    again = await send(node, steward, line("一"), line("二", summary="另一个摘要"), line("三"))
    assert [one["outcome"] for one in again["rows"]] == ["unchanged", "changed", "entered"]
    assert [one["resource_id"] for one in again["rows"][:2]] == [one["resource_id"] for one in first["rows"]]
    read = (await node.client.get(f"/v1/resources/{first['rows'][0]['resource_id']}", headers=steward)).headers["etag"]
    assert read == '"1"'


async def test_resources_are_taken_as_far_as_was_asked_and_later_further(node: Any) -> None:
    organization, _ = await node.provider()
    keeper = node.headers(organization["organization_id"], *KEEPER)
    assert (await send(node, keeper, line("一"), until="submitted"))["rows"][0]["state"] == "submitted"
    further = (await send(node, keeper, line("一", assessments=ASSESSED), until="published"))["rows"][0]
    assert (further["outcome"], further["state"]) == ("advanced", "published")
    again = (await send(node, keeper, line("一", assessments=ASSESSED), until="published"))["rows"][0]
    assert again["outcome"] == "unchanged"
    published = [event for event in await node.events() if isinstance(event, ResourcePublished)]
    assert [str(event.resource_id) for event in published] == [further["resource_id"]]


async def test_what_cannot_go_the_whole_way_is_not_entered_at_all(node: Any) -> None:
    organization, _ = await node.provider()
    keeper = node.headers(organization["organization_id"], *KEEPER)
    report = await send(
        node,
        keeper,
        line("一", steward=..., assessments=ASSESSED),
        line("二"),
        line("三", assessments=ASSESSED | {"secrecy_risk": {"outcome": "failed", "assessed_by": "保密办"}}),
        line("四", assessments={"secrecy_risk": 1}),
        line("五", assessments=[]),
        line("六", assessments=ASSESSED),
        until="published",
    )
    pointers = [[error["pointer"] for error in one["errors"]] for one in report["rows"]]
    assert pointers[0] == ["/steward"]
    assert pointers[1] == ["/assessments"]
    assert pointers[2] == ["/secrecy_risk/outcome"]
    assert pointers[3][0] == "/assessments/secrecy_risk"
    assert pointers[4] == ["/assessments"]
    assert report["rows"][5]["state"] == "published"
    listed = (await node.client.get("/v1/resources", headers=keeper)).json()["items"]
    assert [one["name"] for one in listed] == ["六"]


async def test_each_step_needs_its_role(node: Any, is_problem: Any) -> None:
    organization, _ = await node.provider()
    steward = node.steward(organization)
    assert (await send(node, steward, line("一"), until="submitted"))["counts"]["entered"] == 1
    refused = (await send(node, steward, line("一", assessments=ASSESSED), until="approved"))["rows"][0]
    assert (refused["outcome"], refused["slug"]) == ("refused", "forbidden")
    both = node.headers(organization["organization_id"], "steward", "cdo")
    refused = (await send(node, both, line("一", assessments=ASSESSED), until="published"))["rows"][0]
    assert refused["slug"] == "forbidden"
    listed = (await node.client.get("/v1/resources", headers=steward)).json()["items"]
    assert [one["state"] for one in listed] == ["submitted"]
    auditor = node.headers(organization["organization_id"], "auditor") | {"Content-Type": NDJSON}
    is_problem(await node.client.post("/v1/resources/import", content=b"{}", headers=auditor), 403)
    is_problem(await node.client.post("/v1/resources/import", content=b"{}", headers={"Content-Type": NDJSON}), 401)


async def test_the_authority_names_the_provider_and_a_steward_enters_only_its_own(node: Any) -> None:
    organization, _ = await node.provider()
    other = await node.organization("绍兴市水利局")
    by_code = line("一", provider=organization["uscc"])
    by_name = line("二", provider="绍兴市民政局")
    report = await send(node, node.authority, by_code, by_name, line("三"), line("四", provider="绍兴市无名局"))
    assert [one["outcome"] for one in report["rows"]] == ["entered", "entered", "refused", "refused"]
    assert [one["errors"][0]["pointer"] for one in report["rows"][2:]] == ["/provider", "/provider"]
    report = await send(node, node.steward(other), line("五", provider=organization["uscc"]))
    assert report["rows"][0]["errors"][0]["pointer"] == "/provider"


async def test_a_name_that_stands_twice_in_a_file_is_refused_the_second_time(node: Any) -> None:
    organization, _ = await node.provider()
    report = await send(node, node.steward(organization), line("一"), line(" 一 ", summary="别的"))
    assert [one["outcome"] for one in report["rows"]] == ["entered", "refused"]
    assert "row 1" in report["rows"][1]["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"", NDJSON, 422),
        (b" \n\n", NDJSON, 422),
        (b"{}", "application/json", 415),
        (b"{}\n" * 1001, NDJSON, 413),
        (b'{"name": "' + b"x" * (17 << 20) + b'"}', NDJSON, 413),
    ],
)
async def test_bodies_that_are_no_import_are_refused_whole(strict_node: Any, is_problem: Any, body: bytes, media: str, status: int) -> None:
    headers = strict_node.authority | {"Content-Type": media}
    is_problem(await strict_node.client.post("/v1/resources/import", content=body, headers=headers), status)


@pytest.mark.parametrize(
    "raw",
    [
        "null",
        "1",
        '"x"',
        '{"name": NaN}',
        "[" * 100_000,
        '{"system": 5}',
        '{"system": "a", "system_id": "b"}',
        '{"name": "\\u0000"}',
        "\x00",
    ],
)
async def test_any_line_gets_a_report_and_never_a_failure(strict_node: Any, raw: str) -> None:
    report = await send(strict_node, strict_node.steward(strict_node.organization_made), raw)
    assert report["rows"][0]["outcome"] == "refused"
    assert report["rows"][0]["errors"][0]["detail"]


async def test_a_part_of_the_citys_catalogue_is_entered_and_published_whole(node: Any) -> None:
    taken = [one for one in catalog_t5.resources() if one[0] in catalog_t5.publishers()[:2]][:24]
    for publisher in {one.uscc: one for one, _ in taken}.values():
        made = await node.organization(
            publisher.name, uscc=publisher.uscc, level=publisher.level, division_code=publisher.division_code, kind=publisher.kind
        )
        for system in publisher.systems:
            await node.system(made, system)
        keeper = node.headers(made["organization_id"], *KEEPER)
        lines = [entry | {"assessments": ASSESSED} for owner, entry in taken if owner == publisher]
        report = await send(node, keeper, *lines, until="published")
        assert report["counts"]["entered"] == len(lines), [one for one in report["rows"] if one["errors"]][:3]
    events = [event for event in await node.events() if isinstance(event, ResourcePublished)]
    assert [event.resource.name for event in events] == [
        entry["name"] for publisher in catalog_t5.publishers()[:2] for owner, entry in taken if owner == publisher
    ]


async def test_half_a_surrogate_pair_in_a_name_is_named_and_the_other_lines_are_entered(node: Any) -> None:
    organization, _ = await node.provider()
    broken = json.dumps(line("坏")).replace("\\u574f", "\\ud800")
    assert "\\ud800" in broken
    report = await send(node, node.steward(organization), line("一"), broken, line("二"))
    assert [(one["outcome"], one["name"]) for one in report["rows"]] == [("entered", "一"), ("refused", "?"), ("entered", "二")]
    assert report["rows"][1]["errors"][0]["pointer"] == "/name"


async def test_an_import_writes_and_tells_what_the_single_steps_write_and_tell(node: Any) -> None:
    organization, system = await node.provider()
    keeper = node.headers(organization["organization_id"], *KEEPER)
    given = line("一", assessments=ASSESSED)
    imported = (await send(node, keeper, given, until="published"))["rows"][0]["resource_id"]
    single = given | {"name": "二", "system_id": system["system_id"]}
    del single["system"], single["assessments"]
    made = await node.made("/v1/resources", single, keeper)
    for what, body in (("submission", {}), ("approval", ASSESSED), ("publish", {})):
        answer = await node.client.post(f"/v1/resources/{made['resource_id']}/{what}", json=body, headers=keeper)
        assert answer.status_code == 200, answer.text

    async def seen(resource_id: str) -> Any:
        entry = (await node.client.get(f"/v1/resources/{resource_id}", headers=keeper)).json()
        way = (await node.client.get(f"/v1/resources/{resource_id}/steps", headers=keeper)).json()["items"]
        version = (await node.client.get(f"/v1/resources/{resource_id}/versions/1", headers=keeper)).json()
        told = [event.model_dump(mode="json") for event in await node.events() if str(getattr(event, "resource_id", "")) == resource_id]
        return _without_what_differs([entry, way, version, told])

    assert await seen(imported) == await seen(made["resource_id"])


def _without_what_differs(found: Any) -> Any:
    """Leave out what two resources never share: ids, codes, names, addresses, times."""
    if isinstance(found, list):
        return [_without_what_differs(one) for one in found]
    if isinstance(found, dict):
        differs = ("resource_id", "resource_code", "name", "schema_url")
        return {key: _without_what_differs(one) for key, one in found.items() if key not in differs and not key.endswith(("_at", "at"))}
    return found
