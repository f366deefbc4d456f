"""Information systems at the desk: their entries changed on what was read, put in service and retired."""

from typing import Any

from dxmesh_schemas.catalog_events import SystemChanged


async def test_a_system_is_changed_put_in_service_and_retired(node: Any, desk: Any) -> None:
    organization, system = await node.provider()
    steward, here = node.steward(organization), f"/systems/{system['system_id']}"
    assert here in await desk.page("/systems", steward)
    form = await desk.page(f"{here}/entry", steward)
    for shown in ('value="婚姻登记系统"', 'value="own" selected', 'value="true" selected'):
        assert shown in form, shown
    assert 'name="/is_main_system"' not in form, "which are main ones is the authority's to say"
    await desk.send(f"{here}/entry", desk.unseen(form) | {"/name": "婚姻管理系统", "/kind": "province"}, steward)
    now = (await node.client.get(f"/v1{here}", headers=steward)).json()
    assert (now["name"], now["kind"], now["on_gov_cloud"]) == ("婚姻管理系统", "province", None), "what is left blank is none"
    text = await desk.refused(f"{here}/service", {"/reason": "验收通过"}, steward, 409)
    for shown in ("尚未编目", ">\n验收通过</textarea>"):
        assert shown in text, shown
    made = await node.published(organization, system)
    await desk.send(f"{here}/service", {"/reason": "验收通过"}, steward)
    assert "验收通过" in await desk.page(here, steward)
    text = await desk.refused(f"{here}/retirement", {"/reason": "整合到新系统"}, steward, 409)
    for shown in ("仍有已发布资源", f"/resources/{made['resource_id']}", ">\n整合到新系统</textarea>"):
        assert shown in text, shown
    assert "Required" in desk.at(await desk.refused(f"{here}/retirement", {"/reason": ""}, steward, 422), "/reason")
    await node.client.post(f"/v1/resources/{made['resource_id']}/withdrawal", json={"reason": "整合"}, headers=steward)
    await desk.send(f"{here}/retirement", {"/reason": "整合到新系统"}, steward)
    text = await desk.page(here, steward)
    assert "整合到新系统" in text
    for name in ("entry", "service", "retirement"):
        assert f"{here}/{name}" not in text, "a retired system stays as it was"
    states = [event.state for event in await node.events() if isinstance(event, SystemChanged)]
    assert states == ["planned", "in_service", "retired"]


async def test_a_system_of_its_own_off_the_cloud_serves_by_the_authority_with_its_reason(node: Any, desk: Any) -> None:
    organization, system = await node.provider()
    here = f"/systems/{system['system_id']}"
    form = await desk.page(f"{here}/entry", node.steward(organization))
    await desk.send(f"{here}/entry", desk.unseen(form) | {"/name": "旧系统", "/on_gov_cloud": "false"}, node.steward(organization))
    await node.published(organization, system)
    text = await desk.refused(f"{here}/service", {"/reason": "急用"}, node.steward(organization), 409)
    assert "not on the government cloud" in desk.at(text, "/on_gov_cloud")
    await desk.refused(f"{here}/service", {}, node.authority, 409)
    await desk.send(f"{here}/service", {"/reason": "迁移计划已批准"}, node.authority)
    assert "迁移计划已批准" in await desk.page(here, node.authority)


async def test_a_change_that_cannot_be_is_refused_at_its_field(node: Any, desk: Any) -> None:
    organization, system = await node.provider()
    await node.system(organization, "殡葬管理系统")
    path = f"/systems/{system['system_id']}/entry"
    unseen = desk.unseen(await desk.page(path, node.authority))
    for values, pointer, said, status in (
        ({"/name": " "}, "/name", "Required", 422),
        ({"/name": "殡葬管理系统"}, "/name", "has a system called", 409),
        ({"/name": "系统", "/kind": "moon"}, "/kind", "nation", 422),
        ({"/name": "系统", "/on_gov_cloud": "maybe"}, "/on_gov_cloud", "boolean", 422),
        ({"/name": "系统", "/sector": "moon"}, "/sector", "moon", 422),
        ({"/name": "系统", "/is_main_system": "true"}, "/sector", "is missing", 422),
    ):
        text = await desk.refused(path, unseen | values, node.authority, status)
        assert said in desk.at(text, pointer), values
    assert not [event for event in await node.events() if isinstance(event, SystemChanged)]


async def test_a_sector_has_its_main_system_by_the_authority_alone(node: Any, desk: Any) -> None:
    organization, first = await node.provider()
    second = await node.system(organization, "殡葬管理系统")
    sector = {"name": "民政", "main_system_cap": 1, "master_data_cap": 1}
    assert (await node.client.put("/v1/sectors/civil", json=sector, headers=node.authority)).status_code in (200, 201)
    main = {"/sector": "civil", "/is_main_system": "true"}
    for system, status in ((first, 303), (second, 409)):
        path = f"/systems/{system['system_id']}/entry"
        unseen = desk.unseen(await desk.page(path, node.authority))
        text = await desk.refused(path, unseen | main | {"/name": system["name"]}, node.authority, status)
    assert "main systems" in desk.at(text, "/is_main_system")
    path = f"/systems/{first['system_id']}"
    form = await desk.page(f"{path}/entry", node.steward(organization))
    await desk.send(f"{path}/entry", desk.unseen(form) | {"/name": "新名称", "/sector": "civil"}, node.steward(organization))
    page = await desk.page(path, node.steward(organization))
    for shown in ("新名称", "主系统", "民政"):
        assert shown in page, shown


async def test_a_stale_entry_is_told_what_changed_and_overwrites_only_knowingly(node: Any, desk: Any) -> None:
    organization, system = await node.provider()
    steward, path = node.steward(organization), f"/systems/{system['system_id']}/entry"
    unseen = desk.unseen(await desk.page(path, steward))
    await desk.send(path, unseen | {"/name": "别人改的名称"}, steward)
    stale = await desk.refused(path, unseen | {"/name": "我写的名称"}, steward, 412)
    for shown in ("已被修改", 'value="我写的名称"', "婚姻登记系统", "别人改的名称"):
        assert shown in stale, shown
    await desk.refused(path, {"/name": "我写的名称"}, steward, 412)
    await desk.send(path, {"/name": "我写的名称"} | desk.unseen(stale), steward)


async def test_a_system_is_shown_and_changed_only_by_its_own(node: Any, desk: Any) -> None:
    organization, system = await node.provider()
    here, stranger = f"/systems/{system['system_id']}", node.steward(await node.organization("示例市气象局"))
    for path in (here, f"{here}/entry"):
        await desk.page(path, stranger, 404)
    for name, values in (("entry", {"/name": "x"}), ("service", {"/reason": "x"}), ("retirement", {"/reason": "x"})):
        await desk.refused(f"{here}/{name}", values, stranger, 404)
        await desk.refused(f"{here}/{name}", values, node.cdo(organization), 403)
    await desk.page(f"{here}/entry", node.cdo(organization), 403)
    for reader in (node.cdo(organization), node.headers(None, "operator")):
        assert f"{here}/retirement" not in await desk.page(here, reader)
    assert not [event for event in await node.events() if isinstance(event, SystemChanged)]
