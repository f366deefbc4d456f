import asyncio
from typing import Any

import pytest

from dxmesh_schemas.catalog_events import CodeSetPublished


async def put(node: Any, name: str = "gb-t-2261.1", **changes: Any) -> Any:
    body = {"title": "性别代码", "codes": ["0", "1", "2", "9"]} | changes
    return await node.client.put(f"/v1/code-sets/{name}", json=body, headers=node.authority)


async def test_a_code_set_gets_a_version_when_it_changes_and_none_when_it_does_not(node: Any) -> None:
    first = await put(node)
    assert (first.status_code, first.json()["version"]) == (201, 1)
    for same in (await put(node), await put(node, codes=["9", "2", "1", "0"])):
        assert (same.status_code, same.json()) == (200, first.json())
    changed = await put(node, codes=["0", "1", "2"])
    assert (changed.status_code, changed.json()["version"]) == (201, 2)
    renamed = await put(node, codes=["0", "1", "2"], title="性别")
    assert renamed.json()["version"] == 3
    path = "/v1/code-sets/gb-t-2261.1"
    assert (await node.client.get(path, headers=node.headers(None))).json() == renamed.json()
    assert (await node.client.get(path, params={"version": 1}, headers=node.authority)).json() == first.json()
    events = await node.events()
    assert [event.version for event in events if isinstance(event, CodeSetPublished)] == [1, 2, 3]
    assert events[0].codes == ("0", "1", "2", "9")
    listed = (await node.client.get("/v1/code-sets", headers=node.authority)).json()["items"]
    assert [(one["name"], one["version"], one["code_count"]) for one in listed] == [("gb-t-2261.1", 3, 3)]


async def test_two_writers_at_once_make_two_versions_in_a_row(node: Any) -> None:
    answers = await asyncio.gather(*(put(node, codes=[str(number)]) for number in range(5)))
    assert sorted(answer.json()["version"] for answer in answers) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"codes": []}, "/codes"),
        ({"codes": ["1"] * 20_001}, "/codes"),
        ({"codes": ["1", "1"]}, "/codes/1"),
        ({"codes": ["1", ""]}, "/codes/1"),
        ({"codes": ["1", 2]}, "/codes/1"),
        ({"codes": ["１"]}, "/codes/0"),
        ({"codes": ["1\u0000"]}, "/codes/0"),
        ({"codes": ["\u200b1"]}, "/codes/0"),
        ({"codes": [f"{number:0100d}" for number in range(10_000)]}, "/codes"),
        ({"title": ""}, "/title"),
        ({"title": "\u200b"}, "/title"),
        ({"codes": "12"}, "/codes"),
        ({"more": 1}, "/more"),
    ],
)
async def test_a_wrong_code_set_is_refused_at_its_field_and_leaves_nothing(
    strict_node: Any, is_problem: Any, change: dict[str, Any], pointer: str
) -> None:
    before = await strict_node.events()
    assert [error["pointer"] for error in is_problem(await put(strict_node, **change), 422)["errors"]] == [pointer]
    is_problem(await strict_node.client.get("/v1/code-sets/gb-t-2261.1", headers=strict_node.authority), 404, "code-set-not-found")
    assert await strict_node.events() == before


async def test_twenty_thousand_codes_are_taken(node: Any) -> None:
    answer = await put(node, "areas", codes=[f"{number:012d}" for number in range(20_000)])
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["codes"]) == 20_000


@pytest.mark.parametrize("name", ["UPPER", "区划", "a b", "a%00b", "-a", "x" * 101])
async def test_a_name_that_is_no_name_of_a_code_set_is_refused(strict_node: Any, is_problem: Any, name: str) -> None:
    is_problem(await put(strict_node, name), 422)


async def test_only_the_authority_publishes_code_sets(strict_node: Any, is_problem: Any) -> None:
    organization = strict_node.organization_made
    body = {"title": "x", "codes": ["1"]}
    is_problem(await strict_node.client.put("/v1/code-sets/x", json=body, headers=strict_node.steward(organization)), 403, "forbidden")


@pytest.mark.parametrize("version", [0, -1, 10**12, "x"])
async def test_a_version_that_cannot_be_is_refused(strict_node: Any, is_problem: Any, version: Any) -> None:
    is_problem(await strict_node.client.get("/v1/code-sets/x", params={"version": version}, headers=strict_node.authority), 422)
    is_problem(await strict_node.client.get("/v1/code-sets/x", params={"version": 5}, headers=strict_node.authority), 404)
