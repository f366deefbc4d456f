"""Two who change the same organization, system or taxonomy entry at once: the second is told (412)."""

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
