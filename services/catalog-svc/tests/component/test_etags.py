"""Two who change the same entry at once (an organization, system, taxonomy, sector, mount or lineage): the second is told (412)."""

import asyncio
from typing import Any

import pytest


async def _organization(node: Any) -> tuple[str, dict[str, Any]]:
    made = await node.organization()
    return f"/v1/organizations/{made['organization_id']}", {name: made[name] for name in ("name", "level", "division_code")}


async def _system(node: Any) -> tuple[str, dict[str, Any]]:
    _, made = await node.provider()
    return f"/v1/systems/{made['system_id']}", {"name": made["name"]}


async def _taxonomy(node: Any) -> tuple[str, dict[str, Any]]:
    made = await node.made("/v1/taxonomies", {"code": "T1", "name": "社会治理", "kind": "theme"}, node.authority)
    return f"/v1/taxonomies/{made['taxonomy_id']}", {"name": made["name"]}


@pytest.mark.parametrize("make", [_organization, _system, _taxonomy])
async def test_a_change_is_made_on_what_was_read_or_not_at_all(node: Any, is_problem: Any, make: Any) -> None:
    path, body = await make(node)

    async def change(name: str, if_match: str | None) -> Any:
        headers = node.authority | ({} if if_match is None else {"If-Match": if_match})
        return await node.client.put(path, json=body | {"name": name}, headers=headers)

    read = await node.client.get(path, headers=node.authority)
    tag = read.headers["ETag"]
    events = len(await node.events())
    answers = await asyncio.gather(*(change(name, tag) for name in ("甲名", "乙名", "丙名")))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412]
    done = next(answer for answer in answers if answer.status_code == 200)
    told = events + (0 if "taxonomies" in path else 1)
    assert len(await node.events()) == told
    for passed in (tag, f"W/{done.headers['ETag']}", '"x"', "nonsense", f'{tag}, "0"'):
        refused = is_problem(await change("丁名", passed), 412, "entry-passed")
        assert refused["etag"] == done.headers["ETag"]
    shown = await node.client.get(path, headers=node.authority)
    assert (shown.json(), shown.headers["ETag"]) == (done.json(), done.headers["ETag"])
    for good in (done.headers["ETag"], "*", None):
        answer = await change(f"新名{good and len(good)}", good)
        assert answer.status_code == 200, answer.text
        assert answer.headers["ETag"] != done.headers["ETag"]


async def test_an_appointment_changes_what_was_read_of_an_organization(node: Any, is_problem: Any) -> None:
    path, body = await _organization(node)
    tag = (await node.client.get(path, headers=node.authority)).headers["ETag"]
    await node.made(f"{path}/officers", {"role": "cdo", "holder": "cdo-account"}, node.authority)
    answer = await node.client.put(path, json=body | {"name": "新名"}, headers=node.authority | {"If-Match": tag})
    is_problem(answer, 412, "entry-passed")


async def _sector(node: Any) -> tuple[str, list[Any], dict[str, str]]:
    body = {"name": "民政", "main_system_cap": 1, "master_data_cap": 1}
    assert (await node.client.put("/v1/sectors/01", json=body, headers=node.authority)).status_code == 201
    return "/v1/sectors/01", [body | {"main_system_cap": cap} for cap in range(2, 9)], node.authority


async def _mount(node: Any) -> tuple[str, list[Any], dict[str, str]]:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    bodies = [{"kind": "proxy", "address": f"http://10.20.30.40:{port}/share"} for port in range(8001, 8008)]
    return f"/v1/resources/{made['resource_id']}/mount", bodies, node.steward(organization)


async def _lineage(node: Any) -> tuple[str, list[Any], dict[str, str]]:
    organization, system = await node.provider()
    made = [await node.published(organization, system, name=name) for name in ("专题", "来源")]
    bodies = [{"sources": [{"resource_id": made[1]["resource_id"], "note": f"按{number}筛选"}]} for number in range(7)]
    return f"/v1/resources/{made[0]['resource_id']}/lineage", bodies, node.steward(organization)


@pytest.mark.parametrize("make", [_sector, _mount, _lineage])
async def test_of_two_stewards_at_once_the_second_is_told(node: Any, is_problem: Any, make: Any) -> None:
    path, bodies, steward = await make(node)

    async def change(number: int, if_match: str | None) -> Any:
        headers = steward | ({} if if_match is None else {"If-Match": if_match})
        return await node.client.put(path, json=bodies[number], headers=headers)

    tag = (await node.client.get(path, headers=steward)).headers["ETag"]
    answers = await asyncio.gather(*(change(number, tag) for number in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412]
    done = next(answer for answer in answers if answer.status_code == 200)
    for passed in (tag, f"W/{done.headers['ETag']}", '"x"', "nonsense"):
        refused = is_problem(await change(3, passed), 412, "entry-passed")
        assert refused["etag"] == done.headers["ETag"]
    shown = await node.client.get(path, headers=steward)
    assert (shown.json(), shown.headers["ETag"]) == (done.json(), done.headers["ETag"]), "nothing of the others is written"
    for number, good in ((4, done.headers["ETag"]), (5, "*"), (6, None)):
        answer = await change(number, good)
        assert answer.status_code == 200, answer.text
        assert answer.headers["ETag"] != done.headers["ETag"]


async def test_a_mount_is_confirmed_and_taken_away_as_it_was_read(node: Any, is_problem: Any) -> None:
    path, bodies, steward = await _mount(node)
    read = (await node.client.put(path, json=bodies[0], headers=steward)).headers["ETag"]
    changed = (await node.client.put(path, json=bodies[1], headers=steward)).headers["ETag"]
    calls = (("confirmation", {"evidence": "GET /share: 200"}, node.authority), ("removal", {"reason": "接口停用"}, steward))
    tag = changed
    for what, body, headers in calls:
        for passed in (read, changed) if tag != changed else (read,):
            is_problem(await node.client.post(f"{path}/{what}", json=body, headers=headers | {"If-Match": passed}), 412, "entry-passed")
        answer = await node.client.post(f"{path}/{what}", json=body, headers=headers | {"If-Match": tag})
        assert answer.status_code == 200, answer.text
        tag = answer.headers["ETag"]
    again = await node.client.put(path, json=bodies[0], headers=steward | {"If-Match": read})
    assert is_problem(again, 412)["etag"] == tag, "mounted, changed, taken away: it is not what was read at first"


async def test_a_sector_that_is_not_there_is_nothing_that_was_read(node: Any, is_problem: Any) -> None:
    body = {"name": "民政", "main_system_cap": 1, "master_data_cap": 1}
    is_problem(await node.client.put("/v1/sectors/01", json=body, headers=node.authority | {"If-Match": '"1"'}), 412, "entry-passed")
    is_problem(await node.client.get("/v1/sectors/01", headers=node.authority), 404)


async def test_a_taxonomy_is_retired_and_deleted_as_it_was_read(node: Any, is_problem: Any) -> None:
    path, body = await _taxonomy(node)
    read = (await node.client.get(path, headers=node.authority)).headers["ETag"]
    changed = (await node.client.put(path, json=body | {"name": "新名"}, headers=node.authority)).headers["ETag"]
    why = {"reason": "并入他库"}
    for passed in (read, f"W/{changed}"):
        headers = node.authority | {"If-Match": passed}
        assert is_problem(await node.client.post(f"{path}/retirement", json=why, headers=headers), 412, "entry-passed")["etag"] == changed
        is_problem(await node.client.delete(path, headers=headers), 412, "entry-passed")
    retired = await node.client.post(f"{path}/retirement", json=why, headers=node.authority | {"If-Match": changed})
    assert retired.status_code == 200, retired.text
    is_problem(await node.client.delete(path, headers=node.authority | {"If-Match": changed}), 412, "entry-passed")
    deleted = await node.client.delete(path, headers=node.authority | {"If-Match": retired.headers["ETag"]})
    assert deleted.status_code == 204
