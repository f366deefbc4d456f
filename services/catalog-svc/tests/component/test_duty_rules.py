"""What is refused of duties (C08): a change that breaks a rule, one that is known, a caller who may not, a policy that is too long."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dxmesh_clocks.policy import RuleName, regulation
from dxmesh_clocks.settings import PolicySettings

NOBODY = "00000000-0000-0000-0000-000000000000"
BODY = {"change": "law", "basis": "中华人民共和国行政区划代码 (2026年修订)", "reason": "街道撤并", "changed_on": "2026-11-02"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"basis": None}, "/basis"),
        ({"basis": "  "}, "/basis"),
        ({"basis": "法\u200b律"}, "/basis"),
        ({"reason": ""}, "/reason"),
        ({"reason": "a\x00"}, "/reason"),
        ({"change": "submission"}, "/change"),
        ({"changed_on": "2025-07-31"}, "/changed_on"),
        ({"changed_on": "2199-01-01"}, "/changed_on"),
        ({"changed_on": "9999-12-31"}, "/changed_on"),
        ({"changed_on": "2026-02-30"}, "/changed_on"),
        ({"changed_on": None}, "/changed_on"),
        ({"resource_id": None}, "/resource_id"),
        ({"resource_id": "x"}, "/resource_id"),
        ({"organization_id": "both"}, "/resource_id"),
        ({"rule": "delivery"}, "/rule"),
    ],
)
async def test_a_change_that_breaks_a_rule_is_refused_at_its_field(
    node: Any, is_problem: Any, changes: dict[str, Any], pointer: str
) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    if changes.get("organization_id") == "both":
        changes = {"organization_id": organization["organization_id"]}
    body = BODY | {"resource_id": made["resource_id"]} | changes
    found = is_problem(await node.client.post("/v1/duties", json=body, headers=node.steward(organization)), 422)
    assert [fault["pointer"] for fault in found["errors"]] == [pointer]
    assert (await node.client.get("/v1/duties", headers=node.authority)).json()["items"] == []


async def test_the_same_change_is_registered_once(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    body = BODY | {"resource_id": made["resource_id"]}
    answers = await asyncio.gather(*(node.client.post("/v1/duties", json=body, headers=node.authority) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    [first] = [answer.json()["duty_id"] for answer in answers if answer.status_code == 201]
    assert is_problem(await node.client.post("/v1/duties", json=body, headers=node.authority), 409, "duty-known")["duty_id"] == first
    await node.made("/v1/duties", body | {"basis": "另一部法律"}, node.authority)


async def test_who_may_do_what_with_duties(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    draft = await node.resource(organization, system, name="草稿")
    other = await node.organization("绍兴市水利局")
    body = BODY | {"resource_id": made["resource_id"]}
    is_problem(await node.client.post("/v1/duties", json=body), 401)
    is_problem(await node.client.post("/v1/duties", json=body, headers=node.headers(organization["organization_id"])), 403)
    is_problem(await node.client.post("/v1/duties", json=body, headers=node.steward(other)), 403)
    is_problem(await node.client.post("/v1/duties", json=body | {"resource_id": draft["resource_id"]}, headers=node.steward(other)), 404)
    is_problem(await node.client.post("/v1/duties", json=body | {"resource_id": draft["resource_id"]}, headers=node.authority), 422)
    is_problem(await node.client.post("/v1/duties", json=body | {"resource_id": NOBODY}, headers=node.authority), 404, "resource-not-found")
    foreign = {"organization_id": organization["organization_id"], "resource_id": None}
    is_problem(await node.client.post("/v1/duties", json=body | foreign, headers=node.steward(other)), 404, "organization-not-found")
    is_problem(await node.client.post("/v1/duties", content=b"{", headers=node.authority | {"content-type": "application/json"}), 400)
    is_problem(await node.client.post("/v1/duties", content=b"a=b", headers=node.authority | {"content-type": "text/plain"}), 415)
    duty = await node.made("/v1/duties", body, node.authority)
    path = f"/v1/duties/{duty['duty_id']}"
    is_problem(await node.client.get(path, headers=node.steward(other)), 404, "duty-not-found")
    is_problem(await node.client.post(f"{path}/extension", json={"reason": "x"}, headers=node.steward(other)), 404, "duty-not-found")
    is_problem(await node.client.post(f"{path}/extension", json={"reason": "x"}, headers=node.headers(None, "auditor")), 403)
    is_problem(await node.client.post(f"{path}/cancellation", json={"reason": "x"}, headers=node.steward(organization)), 403)
    is_problem(await node.client.get(f"/v1/duties/{NOBODY}", headers=node.authority), 404, "duty-not-found")
    is_problem(await node.client.get("/v1/duties", headers=node.headers(None)), 403)
    assert (await node.client.get(path, headers=node.headers(None, "auditor"))).json()["duty_id"] == duty["duty_id"]
    assert (await node.client.get("/v1/duties", headers=node.steward(other))).json()["items"] == []
    params = {"organization": organization["organization_id"]}
    assert (await node.client.get("/v1/duties", params=params, headers=node.steward(other))).json()["items"] == []


def test_a_local_policy_is_read_from_its_file_and_a_longer_one_refused(tmp_path: Path) -> None:
    file = tmp_path / "deadlines.json"
    head = '{"jurisdiction": "330600", "title": "办法", "rules": '
    file.write_text(head + '{"catalogue_update": {"days": 5, "source": "办法第三条"}}}', encoding="utf-8")
    assert PolicySettings(file=file).read().rule(RuleName.CATALOGUE_UPDATE).days == 5
    assert PolicySettings().read() == regulation()
    file.write_text(head + '{"catalogue_update": {"days": 11, "source": "办法第三条"}}}', encoding="utf-8")
    with pytest.raises(ValueError, match="/rules/catalogue_update/days: is 11, longer than the 10"):
        PolicySettings(file=file)
    with pytest.raises(ValueError, match="cannot be read"):
        PolicySettings(file=tmp_path / "nothing.json")
