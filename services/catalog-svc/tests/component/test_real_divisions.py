"""Division codes as published: two lists that differ on 172 county codes, and the one with retired codes and a code given twice."""

import os
from pathlib import Path
from typing import Any

import pytest

from dxmesh_client.code_files import as_csv, rows_of

CHECKOUT = Path(__file__).parents[4]
NAMED = os.environ.get("DXMESH_DIVISION_FILES")
BESIDE = sorted(CHECKOUT.parent.glob("*/data/divisions/mca-area.csv"))
FILES = Path(NAMED) if NAMED else BESIDE[0].parents[1] if BESIDE else Path()
NEEDED = ("divisions/areas.csv", "divisions/mca-area.csv", "divisions/streets.csv.xz", "codes/GB-2260.csv.xz")
pytestmark = pytest.mark.skipif(
    not all((FILES / name).is_file() for name in NEEDED), reason=f"DXMESH_DIVISION_FILES names no folder with {', '.join(NEEDED)}"
)
STATISTICS, CIVIL_AFFAIRS, STANDARD = "china-division 2.7", "civil affairs 2020", "GB/T 2260 with history"


async def load(node: Any, file: str, source: str, name: str = "counties", prefix: str = "", **params: Any) -> Any:
    answer = await node.client.post(
        f"/v1/code-sets/{name}/import",
        params={"title": "县级行政区划代码", "kind": "division", "source": source} | params,
        content=as_csv(rows_of(FILES / file, prefix=prefix)),
        headers=node.authority | {"Content-Type": "text/csv"},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


async def get(node: Any, path: str, **params: Any) -> Any:
    answer = await node.client.get(f"/v1/code-sets/{path}", params=params, headers=node.authority)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_172_county_codes_on_which_two_lists_differ_are_all_explainable(node: Any) -> None:
    assert (await load(node, "divisions/areas.csv", STATISTICS))["entry_count"] == 2978
    assert (await load(node, "divisions/mca-area.csv", CIVIL_AFFAIRS))["entry_count"] == 2978 + 2846
    conflicts = (await get(node, "counties/conflicts", limit=1000))["items"]
    assert len(conflicts) == 172
    only = [one["entries"][0]["source"] for one in conflicts]
    assert (only.count(STATISTICS), only.count(CIVIL_AFFAIRS)) == (152, 20)
    for code, label, holder, other in (("330103", "下城区", CIVIL_AFFAIRS, STATISTICS), ("330113", "临平区", STATISTICS, CIVIL_AFFAIRS)):
        found = await get(node, f"counties/codes/{code}")
        assert {word["source"]: (word["standing"], word["label"]) for word in found["sources"]} == {
            holder: ("valid", label), other: (None, None),
        }  # fmt: skip
        assert "the sources differ" in found["text"]
    assert not (await get(node, "counties/codes/330603"))["is_disputed"]


async def test_the_list_with_history_names_its_doubled_code_and_explains_what_is_retired(node: Any, is_problem: Any) -> None:
    body = as_csv(rows_of(FILES / "codes/GB-2260.csv.xz"))
    params = {"title": "GB/T 2260", "kind": "division", "source": STANDARD}
    headers = node.authority | {"Content-Type": "text/csv"}
    refused = is_problem(await node.client.post("/v1/code-sets/counties/import", params=params, content=body, headers=headers), 422)
    assert len(refused["errors"]) == 1
    assert "'232701'" in refused["errors"][0]["detail"]
    made = await load(node, "codes/GB-2260.csv.xz", STANDARD, skip_bad=True)
    assert (made["refused_count"], made["entry_count"], made["code_count"]) == (1, 6563, 3223)
    county = await get(node, "counties/codes/330621")
    assert (county["standing"], county["label"]) == ("retired", "绍兴县")
    assert [one["label"] for one in county["path"]] == ["浙江省", "绍兴市"]
    reused = await get(node, "counties/codes/419001")
    assert (reused["standing"], reused["label"], len(reused["entries"])) == ("valid", "济源市", 2)


async def test_the_streets_of_a_province_are_a_set_under_the_counties(node: Any) -> None:
    await load(node, "divisions/areas.csv", STATISTICS)
    made = await load(node, "divisions/streets.csv.xz", STATISTICS, "streets.33", "33", parent_set="counties")
    assert 1_000 < made["code_count"] < 20_000
    found = await get(node, "streets.33/codes", parent="330603", limit=1000)
    assert "柯桥街道" in {one["label"] for one in found["items"]}
