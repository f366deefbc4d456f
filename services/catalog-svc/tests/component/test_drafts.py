"""What others learn of a draft: nothing, wherever they look."""

import asyncio
from typing import Any
from uuid import uuid4


async def test_no_route_tells_others_what_a_draft_says(node: Any, good_entry: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("乙局")
    draft = await node.resource(organization, system, name="未定名录", summary="未定摘要", items=[good_item("a", name="未定项")], key=[])
    known = await node.published(organization, system, name="已定名录")
    changed = good_entry(system, name="再定名录", summary="再定摘要", items=[good_item("b", name="再定项")], key=[])
    steward = node.steward(organization)
    assert (await node.client.put(f"/v1/resources/{known['resource_id']}", json=changed, headers=steward)).status_code == 200
    # its name is that of another's item in force, which may be found and suggested
    public = await node.published(other, await node.system(other, "乙系统"), items=[good_item("c", name="未定名录")], key=[])
    duty = {"name": "归集", "due_on": "2027-01-01", "resource_id": draft["resource_id"]}
    entry = await node.made("/v1/lists/duty", duty, steward)
    lineage = {"sources": [{"resource_id": public["resource_id"]}]}
    assert (await node.client.put(f"/v1/resources/{draft['resource_id']}/lineage", json=lineage, headers=steward)).status_code == 200
    async with asyncio.timeout(20):  # until the search index has heard of all
        while (await node.client.get("/v1/search", headers=node.authority)).json()["total"] < 3:
            await asyncio.sleep(0.02)

    asked = {
        "entry_id": entry["entry_id"],
        "organization_id": organization["organization_id"],
        "system_id": system["system_id"],
        "version": "1",
        "other": "1",
        "year": "2026",
    }
    words = {"/v1/search": ("未定", "再定", "未定名录"), "/v1/search/suggest": ("未定", "再定", "未定名录"), "/v1/resources": ("定",)}
    places = {"{kind}": ("system", "data", "duty"), "{report}": ("coverage", "orphans", "non-sharing", "duplicates", "totals")}
    paths = []
    for path, operations in (await node.client.get("/openapi.json")).json()["paths"].items():
        if "get" not in operations:
            continue
        spread = next((name for name in places if name in path), None)
        for one in [path.replace(spread, value) for value in places[spread]] if spread else [path]:
            for resource_id in (draft["resource_id"], known["resource_id"]) if "{resource_id}" in one else ("",):
                filled = one.replace("{resource_id}", resource_id)
                for name, value in asked.items():
                    filled = filled.replace(f"{{{name}}}", value)
                filled = "/".join(str(uuid4()) if part.startswith("{") else part for part in filled.split("/"))
                paths += [(filled, {"q": q}) for q in words.get(path, ())] or [
                    (filled, {"format": "csv"} if path.endswith("/file") else {})
                ]
    assert len(paths) > 60

    secret = ("未定摘要", "未定项", "再定名录", "再定摘要", "再定项", draft["resource_code"])
    viewers = [node.headers(None), node.headers(None, "operator"), node.headers(None, "auditor")]
    viewers.append(node.headers(other["organization_id"], "steward", "cdo"))
    told = []
    for viewer in viewers:
        for path, params in paths:
            answer = await node.client.get(path, params=params, headers=viewer)
            assert answer.status_code < 500, answer.text
            if answer.status_code == 200 and draft["resource_id"] in path:
                told.append((path, "answers"))
            told += [(path, text) for text in secret if text in answer.text.replace(path, "")]
            if path == "/v1/search/suggest" and '{"text":"未定名录","kind":"resource"' in answer.text:
                told.append((path, "that a resource is called as the item is"))
    assert told == []
