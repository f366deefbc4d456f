"""Systems that serve run on the government cloud, and nothing that is secret is entered."""

from typing import Any

import pytest


async def serve(node: Any, system: dict[str, Any], headers: dict[str, str], **body: Any) -> Any:
    return await node.client.post(f"/v1/systems/{system['system_id']}/service", json=body, headers=headers)


async def change(node: Any, system: dict[str, Any], headers: dict[str, str], **changes: Any) -> Any:
    return await node.client.put(f"/v1/systems/{system['system_id']}", json={"name": system["name"]} | changes, headers=headers)


@pytest.mark.parametrize("on_gov_cloud", [None, False])
async def test_an_own_system_serves_on_the_government_cloud_or_by_the_authoritys_consent(
    node: Any, is_problem: Any, on_gov_cloud: bool | None
) -> None:
    organization = await node.organization()
    system = await node.system(organization, on_gov_cloud=on_gov_cloud)
    await node.published(organization, system)
    steward = node.steward(organization)
    for headers, body in ((steward, {"reason": "验收通过"}), (node.authority, {})):
        refused = is_problem(await serve(node, system, headers, **body), 409, "off-cloud")
        assert [error["pointer"] for error in refused["errors"]] == ["/on_gov_cloud"]
        assert "PUT /v1/systems/{id}" in refused["detail"]
    served = await serve(node, system, node.authority, reason="专用设备, 年内迁移上云")
    assert served.status_code == 200, served.text
    assert (await change(node, system, steward, on_gov_cloud=on_gov_cloud)).status_code == 200, "by consent it stays where it is"
    report = (await node.client.get("/v1/reports/off-cloud", headers=steward)).json()
    assert [(row["system_name"], row["cloud"], row["reason"]) for row in report["rows"]] == [
        (system["name"], "unsaid" if on_gov_cloud is None else "off", "专用设备, 年内迁移上云")
    ]


async def test_a_system_that_serves_does_not_leave_the_cloud_by_its_steward_alone(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    await node.published(organization, system)
    steward = node.steward(organization)
    national = await node.system(organization, "国垂系统", kind="nation", on_gov_cloud=False)
    await node.published(organization, national, name="国垂数据")
    for one in (system, national):
        assert (await serve(node, one, steward)).status_code == 200, "one that is run from above is not its organization's to place"
    for changes in ({"on_gov_cloud": False}, {"on_gov_cloud": None}):
        is_problem(await change(node, system, steward, **changes), 409, "off-cloud")
    is_problem(await change(node, national, steward, kind="own"), 409, "off-cloud")
    assert (await change(node, system, node.authority, on_gov_cloud=False)).status_code == 200
    planned = await node.system(organization, "规划中", on_gov_cloud=True)
    assert (await change(node, planned, steward, on_gov_cloud=False)).status_code == 200, "a plan may say what it will"


async def test_own_systems_off_the_cloud_and_those_that_do_not_say_are_reported(node: Any, is_problem: Any) -> None:
    organization, other = await node.organization(), await node.organization("另一局")
    await node.system(organization)
    await node.system(organization, "未上云", on_gov_cloud=False)
    await node.system(organization, "国垂系统", kind="nation", on_gov_cloud=False)
    await node.system(other, "未填报", on_gov_cloud=None)
    found = (await node.client.get("/v1/reports/off-cloud", headers=node.authority)).json()
    assert found["summary"] == {"system_count": 3, "off_count": 1, "unsaid_count": 1, "on_ratio": 0.3333}
    assert [(row["system_name"], row["cloud"]) for row in found["rows"]] == [("未上云", "off"), ("未填报", "unsaid")]
    own = (await node.client.get("/v1/reports/off-cloud", headers=node.steward(other))).json()
    assert [row["system_name"] for row in own["rows"]] == ["未填报"]
    is_problem(await node.client.get("/v1/reports/off-cloud", headers=node.headers(None)), 403)


async def test_what_is_secret_is_neither_registered_nor_entered(node: Any, is_problem: Any, good_entry: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    steward = node.steward(organization)
    for answer in (
        await node.client.post("/v1/systems", json={"name": "涉密系统", "is_classified": True}, headers=steward),
        await change(node, system, steward, is_classified=True),
    ):
        refused = is_problem(answer, 422)
        assert [error["pointer"] for error in refused["errors"]] == ["/is_classified"]
        assert "GDSR Art. 3" in refused["errors"][0]["detail"]
    for changes, pointer in (
        ({"is_classified": True}, "/is_classified"),
        ({"name": "名录(机密★10年)"}, "/name"),
        ({"summary": "绝密 ★ 长期"}, "/summary"),
        ({"items": [good_item("a", name="坐标 秘密★1年")], "key": []}, "/items/0/name"),
    ):
        refused = is_problem(await node.client.post("/v1/resources", json=good_entry(system, **changes), headers=steward), 422)
        assert [error["pointer"] for error in refused["errors"]] == [pointer]
    await node.resource(organization, system, summary="企业商业秘密登记的统计, 星级★★★")
