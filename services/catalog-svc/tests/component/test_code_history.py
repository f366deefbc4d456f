"""Codes with days, sources and successors: what held when, what became of a code, where sources differ, what versions changed."""

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import catalog_svc
from catalog_svc.code_set import worker
from catalog_svc.code_set.entry import day_of
from dxmesh_runtime.db import connect
from dxmesh_schemas.catalog_events import CodeSetPublished

PATH = "/v1/code-sets/divisions"
CITY = {"code": "330600", "label": "绍兴市"}
COUNTY = {
    "code": "330621", "label": "绍兴县", "valid_until": "2013-10-18", "successors": ["330603"], "note": "国函〔2013〕112号",
}  # fmt: skip
DISTRICT = {"code": "330603", "label": "柯桥区", "valid_from": "2013-10-18"}
OLD_TOWN = {"code": "332301", "label": "绍兴市（县级）", "is_retired": True}
ENTRIES = [CITY, COUNTY, DISTRICT, OLD_TOWN]


async def put(node: Any, entries: list[dict[str, Any]] = ENTRIES, name: str = "divisions", **changes: Any) -> Any:
    body = {"title": "行政区划", "kind": "division", "entries": entries} | changes
    return await node.client.put(f"/v1/code-sets/{name}", json=body, headers=node.authority)


async def get(node: Any, path: str = "", **params: Any) -> Any:
    answer = await node.client.get(PATH + path, params=params, headers=node.headers(None))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_set_gives_the_codes_that_held_on_a_day_and_its_event_only_those_of_today(node: Any) -> None:
    made = await put(node)
    assert made.status_code == 201, made.text
    assert made.json()["codes"] == ["330600", "330603"]
    assert [event.codes for event in await node.events() if isinstance(event, CodeSetPublished)] == [("330600", "330603")]
    assert (await get(node, on="2013-10-17"))["codes"] == ["330600", "330621"]
    assert (await get(node, on="2013-10-18"))["codes"] == ["330600", "330603"]
    assert [one["code"] for one in (await get(node, "/codes", on="2000-01-01"))["items"]] == ["330600", "330621"]
    assert [one["code"] for one in (await get(node, "/codes"))["items"]] == ["330600", "330603", "330621", "332301"]
    assert [one["code"] for one in (await get(node, "/codes", q="绍兴"))["items"]] == ["330600", "330621", "332301"]
    assert [one["code"] for one in (await get(node, "/codes", parent="330600", on="2020-01-01"))["items"]] == ["330603"]


async def test_a_retired_code_says_what_it_became_and_since_when(node: Any) -> None:
    await put(node)
    found = await get(node, "/codes/330621")
    assert found["standing"] == "retired"
    assert [(step["code"], step["label"], step["since"], step["standing"]) for step in found["became"]] == [
        ("330603", "柯桥区", "2013-10-18", "valid")
    ]
    assert found["text"] == "330621 绍兴县 is retired since 2013-10-18; it became 330603 柯桥区"
    assert found["path"] == [{"code": "330600", "label": "绍兴市"}]
    assert (await get(node, "/codes/330621", on="2013-10-17"))["standing"] == "valid"
    successor = await get(node, "/codes/330603")
    assert [(step["code"], step["label"], step["since"]) for step in successor["formerly"]] == [("330621", "绍兴县", "2013-10-18")]
    assert (await get(node, "/codes/330603", on="2013-10-17"))["standing"] == "not_yet"


async def test_a_code_retired_on_a_day_no_source_gives_is_uncertain_before_and_retired_now(node: Any) -> None:
    await put(node)
    assert (await get(node, "/codes/332301"))["standing"] == "retired"
    before = await get(node, "/codes/332301", on="1990-01-01")
    assert before["standing"] == "uncertain"
    assert "no source says when" in before["text"]


async def test_successors_of_successors_are_followed_and_a_circle_ends(node: Any) -> None:
    chain = [
        {"code": "1", "label": "甲", "valid_until": "2000-01-01", "successors": ["2", "3"]},
        {"code": "2", "label": "乙", "valid_from": "2000-01-01", "valid_until": "2010-01-01", "successors": ["1", "4"]},
        {"code": "3", "label": "丙"},
        {"code": "4", "label": "丁", "valid_from": "2010-01-01"},
        {"code": "1", "label": "甲", "valid_from": "2010-01-01"},
    ]
    assert (await put(node, chain, kind="own")).status_code == 201
    found = await get(node, "/codes/1", on="2005-01-01")
    assert [(step["came_from"], step["code"]) for step in found["became"]] == [("1", "2"), ("1", "3"), ("2", "4")]
    assert (await get(node, "/codes/1"))["standing"] == "valid"


async def test_two_sources_stand_side_by_side_and_their_differences_are_listed(node: Any) -> None:
    entries = [
        {"code": "330103", "label": "下城区", "source": "civil affairs 2020"},
        {"code": "330103", "label": "下城区", "source": "statistics 2021", "valid_until": "2021-03-11"},
        {"code": "330113", "label": "临平区", "source": "statistics 2021"},
        {"code": "330106", "label": "西湖区", "source": "civil affairs 2020"},
        {"code": "330106", "label": "西湖区", "source": "statistics 2021"},
        {"code": "330109", "label": "萧山", "source": "civil affairs 2020"},
        {"code": "330109", "label": "萧山区", "source": "statistics 2021"},
    ]
    assert (await put(node, entries)).json()["codes"] == ["330103", "330113", "330106", "330109"]
    conflicts = (await get(node, "/conflicts"))["items"]
    assert [one["code"] for one in conflicts] == ["330103", "330109", "330113"]
    found = await get(node, "/codes/330103")
    assert (found["is_disputed"], found["standing"]) == (True, "valid")
    assert [(word["source"], word["standing"]) for word in found["sources"]] == [
        ("civil affairs 2020", "valid"), ("statistics 2021", "retired"),
    ]  # fmt: skip
    missing = (await get(node, "/codes/330113"))["sources"]
    assert [(word["source"], word["standing"]) for word in missing] == [("civil affairs 2020", None), ("statistics 2021", "valid")]
    assert not (await get(node, "/codes/330106"))["is_disputed"]
    led = await put(node, entries, leading_source="statistics 2021")
    assert (led.json()["version"], led.json()["codes"]) == (2, ["330113", "330106", "330109"])
    assert (await get(node, "/codes/330103"))["standing"] == "retired"
    other = await put(node, entries, leading_source="civil affairs 2020")
    assert (await get(node, "/codes/330113"))["standing"] == "unlisted"
    assert other.json()["codes"] == ["330103", "330106", "330109"]


async def test_versions_stay_as_they_were_and_their_difference_names_what_changed(node: Any) -> None:
    await put(node)
    renamed = [CITY, COUNTY | {"label": "绍兴县（旧）"}, DISTRICT, {"code": "330604", "label": "上虞区"}]
    assert (await put(node, renamed)).json()["version"] == 2
    assert (await put(node, renamed[::-1])).status_code == 200
    changed = (await get(node, "/diff", **{"from": 1}))["items"]
    assert [(one["code"], len(one["before"]), len(one["after"])) for one in changed] == [
        ("330604", 0, 1),
        ("330621", 1, 1),
        ("332301", 1, 0),
    ]
    assert (changed[1]["before"][0]["label"], changed[1]["after"][0]["label"]) == ("绍兴县", "绍兴县（旧）")
    back = (await get(node, "/diff", **{"from": 2, "to": 1}))["items"]
    assert [(len(one["before"]), len(one["after"])) for one in back] == [(1, 0), (1, 1), (0, 1)]
    assert (await get(node, "/diff", **{"from": 1, "to": 1}))["items"] == []
    assert (await get(node, "/codes/332301", version=1))["standing"] == "retired"
    assert (await node.client.get(f"{PATH}/codes/332301", headers=node.authority)).status_code == 404
    assert (await get(node, "/codes/330621", version=1))["label"] == "绍兴县"
    await put(node)
    assert (await get(node, "/diff", **{"from": 1, "to": 3}))["items"] == [], "what was taken out and put back is no change"
    assert [one["version"] for one in (await get(node, "/versions"))["items"]] == [1, 2, 3]
    first = await get(node, "/diff", limit=1, **{"from": 1, "to": 2})
    second = await get(node, "/diff", limit=2, cursor=first["next_cursor"], **{"from": 1, "to": 2})
    assert [one["code"] for page in (first, second) for one in page["items"]] == ["330604", "330621", "332301"]


async def test_parents_may_stand_in_another_set_and_a_divisions_parent_is_read_from_its_digits(node: Any) -> None:
    await put(node)
    streets = [{"code": "330603001", "label": "柯桥街道"}, {"code": "330603002", "label": "柯岩街道", "valid_until": "2030-01-01"}]
    made = await put(node, streets, "streets.3306", title="街道", parent_set="divisions")
    assert made.status_code == 201, made.text
    found = (await node.client.get("/v1/code-sets/streets.3306/codes/330603001", headers=node.authority)).json()
    assert [one["label"] for one in found["path"]] == ["绍兴市", "柯桥区"]
    assert found["entries"][0]["parent"] == "330603"


async def test_a_code_that_begins_or_ends_by_the_calendar_is_brought_into_force_once(node: Any) -> None:
    today = day_of(datetime.now(UTC))
    entries = [
        {"code": "1", "valid_until": str(today)},
        {"code": "2", "valid_until": str(today + timedelta(days=1))},
        {"code": "3", "valid_from": str(today)},
        {"code": "4"},
    ]
    assert (await put(node, entries, kind="own")).json()["codes"] == ["2", "3", "4"]
    database = connect(node.settings.database)
    try:
        assert await worker.bring_all_into_force(database) == 0
        async with node.sessions.begin() as tx:  # as if it had been published two days ago
            connection = await tx.connection()
            day = str(today - timedelta(days=2))
            await connection.exec_driver_sql(f'UPDATE code_set_version SET codes_on = \'{day}\', codes = \'["1", "2", "4"]\'')
        assert await worker.bring_all_into_force(database) == 1
        assert await worker.bring_all_into_force(database) == 0
    finally:
        await database.close()
    found = await get(node)
    assert (found["version"], found["codes"], found["published_by"]) == (2, ["2", "3", "4"], None)
    assert [event.codes for event in await node.events()] == [("2", "3", "4")] * 2


@pytest.mark.parametrize(
    ("entries", "pointer"),
    [
        ([CITY, CITY], "/entries/1/code"),
        ([CITY, CITY | {"code": "３"}], "/entries/1/code"),
        ([CITY | {"label": "绍\u200b兴"}], "/entries/0/label"),
        ([CITY | {"valid_from": "2013-02-30"}], "/entries/0/valid_from"),
        ([CITY | {"valid_from": 0}], "/entries/0/valid_from"),
        ([CITY | {"valid_from": "2013"}], "/entries/0/valid_from"),
        ([CITY | {"valid_from": "2013-01-01", "valid_until": "2013-01-01"}], "/entries/0/valid_until"),
        ([CITY | {"valid_until": "2013-01-01", "is_retired": True}], "/entries/0/is_retired"),
        ([CITY, DISTRICT | {"successors": ["330600"]}], "/entries/1/successors"),
        ([CITY, COUNTY], "/entries/1/successors"),
        ([CITY, COUNTY | {"successors": ["330621"]}], "/entries/1/successors"),
        ([CITY | {"parent": "330000"}], "/entries/0/parent"),
        ([CITY | {"parent": "330600"}], "/entries/0/parent"),
        ([CITY | {"unknown": 1}], "/entries/0/unknown"),
        ([COUNTY | {"successors": []}], "/codes"),
        ([CITY | {"source": "一" * 201}], "/entries/0/source"),
        ([], "/entries"),
    ],
)
async def test_a_wrong_entry_is_refused_at_its_field_and_leaves_nothing(
    strict_node: Any, is_problem: Any, entries: list[dict[str, Any]], pointer: str
) -> None:
    before = await strict_node.events()
    refused = is_problem(await put(strict_node, entries, "wrong"), 422)
    assert [error["pointer"] for error in refused["errors"]] == [pointer]
    is_problem(await strict_node.client.get("/v1/code-sets/wrong", headers=strict_node.authority), 404, "code-set-not-found")
    assert await strict_node.events() == before


async def test_parents_that_make_a_loop_are_refused(strict_node: Any, is_problem: Any) -> None:
    loop = [{"code": "1", "parent": "2"}, {"code": "2", "parent": "3"}, {"code": "3", "parent": "1"}, {"code": "4"}]
    refused = is_problem(await put(strict_node, loop, "wrong", kind="own"), 422, "code-set-invalid")
    assert [error["pointer"] for error in refused["errors"]] == [f"/entries/{index}/parent" for index in range(3)]


async def test_a_parent_set_must_be_another_that_is_known(strict_node: Any, is_problem: Any) -> None:
    for parent_set in ("nothing", "wrong"):
        refused = is_problem(await put(strict_node, [CITY], "wrong", parent_set=parent_set), 422, "code-set-invalid")
        assert refused["errors"][0]["pointer"] == "/parent_set"


async def test_codes_and_entries_together_or_neither_are_refused(strict_node: Any, is_problem: Any) -> None:
    for body in ({"title": "x"}, {"title": "x", "codes": ["1"], "entries": [CITY]}):
        is_problem(await strict_node.client.put("/v1/code-sets/x", json=body, headers=strict_node.authority), 422)


async def test_more_codes_than_an_event_carries_are_refused_with_a_way_out_but_retired_ones_do_not_count(
    node: Any, is_problem: Any
) -> None:
    many = [{"code": f"{number:09d}"} for number in range(20_001)]
    refused = is_problem(await put(node, many, kind="own"), 422, "code-set-invalid")
    assert "20001 codes in force" in refused["detail"]
    assert "parts" in refused["detail"]
    many[0]["is_retired"] = True  # type: ignore[assignment]
    made = await put(node, many, kind="own")
    assert made.status_code == 201, made.text
    assert (len(made.json()["codes"]), made.json()["entry_count"]) == (20_000, 20_001)


@pytest.mark.parametrize("path", ["/codes/9", "/codes/%00", "/codes/" + "9" * 201, "/diff", "/diff?from=0", "/diff?from=2", "/codes?on=1"])
async def test_what_cannot_be_asked_of_a_set_is_a_clear_refusal(strict_node: Any, is_problem: Any, path: str) -> None:
    answer = await strict_node.client.get("/v1/code-sets/codes" + path, headers=strict_node.authority)
    is_problem(answer, 404 if path in ("/codes/9", "/diff?from=2") else 422)


async def test_entries_of_plain_lists_are_made_by_the_migration(node: Any) -> None:
    for codes in (["1", "2"], ["2", "3"], ["1", "2"]):
        await put(node, [{"code": code} for code in codes], kind="own")
    async with node.sessions.begin() as tx:
        connection = await tx.connection()
        rows = await connection.exec_driver_sql("SELECT code, from_version, until_version FROM code_set_entry ORDER BY 1, 2")
        assert [tuple(row) for row in rows] == [("1", 1, 2), ("1", 3, None), ("2", 1, None), ("3", 2, 3)]
        await connection.exec_driver_sql("DELETE FROM code_set_entry")
        await connection.exec_driver_sql(_migration()._ENTRIES_OF_PLAIN_LISTS)
        rows = await connection.exec_driver_sql("SELECT code, from_version, until_version FROM code_set_entry ORDER BY 1, 2")
        assert [tuple(row) for row in rows] == [("1", 1, 2), ("1", 3, None), ("2", 1, None), ("3", 2, 3)]


def _migration() -> Any:
    path = Path(catalog_svc.__file__).parent / "migrations/versions/0008_codes.py"
    spec = importlib.util.spec_from_file_location("codes_migration", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
