"""What an entry may say: each rule broken once, and answered with the field it is broken in."""

import json
from typing import Any

import pytest

from catalog_svc.resource.definition import Definition

NOBODY = "00000000-0000-0000-0000-000000000000"
BASIS = {"kind": "law", "title": "中华人民共和国数据安全法", "article": "第三十八条"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"is_classified": True}, "/is_classified"),
        ({"name": "婚姻登记系统"}, "/name"),
        ({"name": "街\u200b道"}, "/name"),
        ({"name": "街道２"}, "/name"),
        ({"name": ...}, "/name"),
        ({"summary": " "}, "/summary"),
        ({"summary": "a\x00b"}, "/summary"),
        ({"class_path": "4/01"}, "/class_path"),
        ({"class_path": "3/３0"}, "/class_path"),
        ({"items": []}, "/items"),
        ({"items": ...}, "/items"),
        ({"key": ["none"]}, "/key/0"),
        ({"key": ["a b"]}, "/key/0"),
        ({"sharing_type": "NOT_SHARED"}, "/non_sharing_basis"),
        ({"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS | {"kind": "local_regulation"}}, "/non_sharing_basis/kind"),
        ({"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS | {"article": ""}}, "/non_sharing_basis/article"),
        ({"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS | {"article": "全文"}}, "/non_sharing_basis/article"),
        ({"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS | {"title": "《浙江省公共数据条例》"}}, "/non_sharing_basis/title"),
        ({"provider_unit": " "}, "/provider_unit"),
        ({"steward": "\u200b"}, "/steward"),
        ({"kind": "audio"}, "/kind"),
        ({"kind": "video"}, "/video"),
        ({"video": {"code": "33060000001310000001", "longitude": 120.58, "latitude": 30.0}}, "/video"),
        ({"kind": "video", "video": {"code": "1", "longitude": 72.9, "latitude": 30.0}}, "/video/longitude"),
        ({"kind": "video", "video": {"code": "1", "longitude": 136.1, "latitude": 30.0}}, "/video/longitude"),
        ({"kind": "video", "video": {"code": "1", "longitude": 120.58, "latitude": 2.9}}, "/video/latitude"),
        ({"kind": "video", "video": {"code": "1", "longitude": 120.58, "latitude": 54.1}}, "/video/latitude"),
        ({"kind": "video", "video": {"code": "1", "longitude": 120.58}}, "/video/latitude"),
        ({"kind": "video", "video": {"code": "镜头", "longitude": 120.58, "latitude": 30.0}}, "/video/code"),
        ({"kind": "video", "video": {"longitude": 120.58, "latitude": 30.0}}, "/video/code"),
        ({"format_class": "PAPER"}, "/format_class"),
        ({"format_class": "DATABASE"}, "/format_type"),
        ({"format_class": "SPREADSHEET", "format_type": "Oracle"}, "/format_type"),
        ({"format_class": "DATABASE", "format_type": "Oracle", "sharing_mode": "FILE"}, "/sharing_mode"),
        ({"format_class": "ELECTRONIC_FILE", "format_type": "pdf", "sharing_mode": "API"}, "/sharing_mode"),
        ({"sharing_mode": "FAX"}, "/sharing_mode"),
        ({"sharing_channel": "PIGEON"}, "/sharing_channel"),
        ({"sharing_purposes": ["FUN"]}, "/sharing_purposes/0"),
        ({"data_level": 5}, "/data_level"),
        ({"data_level": 0}, "/data_level"),
        ({"is_important": "perhaps"}, "/is_important"),
        ({"census": {"total_gb": -0.1}}, "/census/total_gb"),
        ({"census": {"shared_rows_10k": -1}}, "/census/shared_rows_10k"),
        ({"census": {"rows": 1}}, "/census/rows"),
        ({"census": {"open_gb": "many"}}, "/census/open_gb"),
        ({"related_codes": ["街道"]}, "/related_codes/0"),
        ({"division_code": "33060"}, "/division_code"),
        ({"data_category": "Ａ类"}, "/data_category"),
        ({"business_item": ""}, "/business_item"),
        ({"use_conditions": "a\x00"}, "/use_conditions"),
        ({"authority_source": "a\u202eb"}, "/authority_source"),
        ({"sharing_type": "CONDITIONAL"}, "/sharing_condition"),
        ({"sharing_type": "SOMETIMES"}, "/sharing_type"),
        ({"standing_consent": {"approved_by": ""}}, "/standing_consent/approved_by"),
        ({"standing_consent": {}}, "/standing_consent/approved_by"),
        ({"max_quarantined_ratio": 1.1}, "/max_quarantined_ratio"),
        ({"update_cycle": "HOURLY"}, "/update_cycle"),
        ({"misspelt": 1}, "/misspelt"),
        ({"system_id": "x"}, "/system_id"),
    ],
)
async def test_a_broken_rule_is_answered_with_its_field(
    strict_node: Any, is_problem: Any, good_entry: Any, changes: dict[str, Any], pointer: str
) -> None:
    organization, system = strict_node.organization_made, strict_node.system_made
    body = good_entry(system, **changes)
    answer = await strict_node.client.post("/v1/resources", json=body, headers=strict_node.steward(organization))
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"code": "1a"}, "/items/3/code"),
        ({"code": "街道"}, "/items/3/code"),
        ({"code": "a" * 64}, "/items/3/code"),
        ({"code": "row_"}, "/items/3/code"),
        ({"code": "Street_Code"}, "/items/3/code"),
        ({"name": ""}, "/items/3/name"),
        ({"name": "街道代码"}, "/items/3/name"),
        ({"name": "a\u200bb"}, "/items/3/name"),
        ({"description": "\x00"}, "/items/3/description"),
        ({"data_type": "Q"}, "/items/3/data_type"),
        ({"data_type": "I", "pattern": "a"}, "/items/3"),
        ({"pattern": "(?=a)"}, "/items/3/pattern"),
        ({"pattern": "(" * 250 + ")" * 250}, "/items/3/pattern"),
        ({"enumeration": ["1", "1"]}, "/items/3/enumeration/1"),
        ({"enumeration": ["\x00"]}, "/items/3/enumeration/0"),
        ({"length": 10**30}, "/items/3/length"),
        ({"code_set": {"name": "nothing"}}, "/items/3/code_set/name"),
        ({"code_set": {"name": "x\x00"}}, "/items/3/code_set/name"),
        ({"code_set": {"name": "codes", "version": 10**30}}, "/items/3/code_set/version"),
        ({"reference": {"resource_id": NOBODY, "item": "a"}}, "/items/3/reference/resource_id"),
        ({"requird": True}, "/items/3/requird"),
        ({"data_type": "N", "minimum": 3, "maximum": 2}, "/items/3/maximum"),
        ({"sensitivity": "HIGH"}, "/items/3/sensitivity"),
        ({"update_frequency": "HOURLY"}, "/items/3/update_frequency"),
        ({"sharing_condition": "限查验"}, "/items/3/sharing_condition"),
        ({"open_condition": "限科研"}, "/items/3/open_condition"),
        ({"dictionary": " "}, "/items/3/dictionary"),
        ({"dictionary": "GB/T 2261.1", "data_type": "I"}, "/items/3/dictionary"),
        ({"dictionary": "x" * 201}, "/items/3/dictionary"),
        ({"data_level": 5}, "/items/3/data_level"),
    ],
)
async def test_a_broken_rule_of_an_item_is_answered_with_its_field(
    strict_node: Any, is_problem: Any, good_entry: Any, good_item: Any, changes: dict[str, Any], pointer: str
) -> None:
    organization, system = strict_node.organization_made, strict_node.system_made
    body = good_entry(system, items=[*good_entry(system)["items"], good_item(**changes)])
    answer = await strict_node.client.post("/v1/resources", json=body, headers=strict_node.steward(organization))
    assert {error["pointer"] for error in is_problem(answer, 422)["errors"]} == {pointer}


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
async def test_a_number_json_does_not_have_is_refused(strict_node: Any, is_problem: Any, good_entry: Any, number: bytes) -> None:
    organization, system = strict_node.organization_made, strict_node.system_made
    body = json.dumps(good_entry(system, items=[{"code": "a", "name": "甲", "data_type": "N", "minimum": 424242}], key=[]))
    headers = strict_node.steward(organization) | {"Content-Type": "application/json"}
    answer = await strict_node.client.post("/v1/resources", content=body.encode().replace(b"424242", number), headers=headers)
    assert answer.status_code in (400, 422)
    is_problem(answer, answer.status_code)


async def test_the_sharing_type_is_the_strictest_of_the_items(node: Any, is_problem: Any, good_entry: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    items = [good_item("a"), good_item("b", sharing_type="CONDITIONAL"), good_item("c", sharing_type="NOT_SHARED")]
    made = await node.resource(organization, system, items=items[:2], key=[], sharing_condition="行政依据")
    assert made["sharing_type"] == "CONDITIONAL"
    strict = await node.resource(organization, system, name="丙", items=items, key=[], non_sharing_basis=BASIS)
    assert (strict["sharing_type"], strict["item_count"], strict["shareable_item_count"]) == ("NOT_SHARED", 3, 2)
    assert strict["non_sharing_basis"] == BASIS
    lax = good_entry(system, name="丁", items=items[:2], key=[], sharing_type="UNCONDITIONAL")
    answer = await node.client.post("/v1/resources", json=lax, headers=node.steward(organization))
    assert is_problem(answer, 422)["errors"][0]["pointer"] == "/sharing_type"


async def test_what_is_read_can_be_written_back(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.resource(
        organization,
        system,
        standing_consent={"approved_by": "局长"},
        format_class="DATABASE",
        format_type="mysql",
        sharing_mode="API",
        census={"total_gb": 1.5, "total_rows_10k": 3},
        related_codes=["330000/000009"],
        division_code="330602",
        provider_unit="区划地名科",
    )
    assert (made["format_type"], made["data_level"], made["census"]["shared_gb"]) == ("MySQL", 1, 0)
    fields = set(Definition.model_fields) - {"is_classified"}
    body = {name: value for name, value in made.items() if name in fields}
    again = await node.client.put(f"/v1/resources/{made['resource_id']}", json=body, headers=node.steward(organization))
    assert again.status_code == 200, again.text
    assert {name: again.json()[name] for name in fields} == body
