"""Names that only look different, or only look the same: whatever is named, they are refused at their field."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

KNOWN = "年度 Data 名录"
LIKE = ("年度 data 名录", "年度  DATA 名录", "年度\u00a0Data\u3000名录", " 年度 Data 名录 ", "年\ufa01 Data 名录")  # U+FA01: another 度
UNSEEN = (
    *"\u200b\u200c\u200d\u2060\ufeff\u00ad\u061c\u180e",  # zero-width, soft hyphen
    *"\u200e\u202e\u2066\u2028",  # directions, lines
    *"\x00\x1b\x7f\n",  # controls
    *"\u034f\u115f\u2800\u3164\uffa0\ufe0f\U000e0101\U000e0041",  # fillers, selectors, tags
)
FULL_WIDTH = ("第２批", "Ａ类", "ｂ类")
MIXED = ("GІS 名录", "ОАoa", "wοrk")

Body = Callable[[Any, str], dict[str, Any]]


class Noun(NamedTuple):
    """How a thing is named over HTTP; `taken` is the problem a name like a known one meets, None where names may come again."""

    method: str
    path: str
    body: Body
    pointer: str
    who: str = "steward"
    taken: str | None = None


def _year() -> int:
    return datetime.now(ZoneInfo("Asia/Shanghai")).year


def _due() -> str:
    return f"{_year() + 1}-06-30"


def _resource(node: Any, **changes: Any) -> dict[str, Any]:
    item = {"code": "code", "name": "代码", "data_type": "C"}
    entry = {"system_id": node.system_made["system_id"], "name": "有名的资源", "summary": "一句", "class_path": "3/30", "items": [item]}
    return entry | {"key": [], "update_cycle": "MONTHLY", "steward": "数据管理员"} | changes


def _items(*names: str) -> list[dict[str, Any]]:
    return [{"code": f"code_{number}", "name": name, "data_type": "C"} for number, name in enumerate(names)]


def _organization(node: Any, name: str) -> dict[str, Any]:
    return {"uscc": "11330600MB1573660P", "name": name, "level": "city", "division_code": "330600"}


NOUNS = {
    "organization": Noun("POST", "/v1/organizations", _organization, "/name", who="authority"),
    "system": Noun("POST", "/v1/systems", lambda node, name: {"name": name}, "/name", taken="system-name-taken"),
    "resource": Noun("POST", "/v1/resources", lambda node, name: _resource(node, name=name), "/name", taken="resource-name-taken"),
    "item": Noun("POST", "/v1/resources", lambda node, name: _resource(node, items=_items("甲", name)), "/items/1/name"),
    "post": Noun("POST", "/v1/resources", lambda node, name: _resource(node, steward=name), "/steward"),
    "code set": Noun("PUT", "/v1/code-sets/x", lambda _, name: {"title": name, "codes": ["1"]}, "/title", who="authority"),
    "code": Noun("PUT", "/v1/code-sets/x", lambda _, name: {"title": "码", "codes": ["1", name]}, "/codes/1", who="authority"),
    "code's label": Noun(
        "PUT",
        "/v1/code-sets/x",
        lambda _, name: {"title": "码", "entries": [{"code": "1", "label": name}]},
        "/entries/0/label",
        "authority",
    ),
    "list entry": Noun("POST", "/v1/lists/duty", lambda _, name: {"name": name, "due_on": _due()}, "/name", taken="list-entry-taken"),
    "form": Noun("POST", "/v1/forms", lambda _, name: {"name": name, "items": [{"name": "项"}]}, "/name", taken="form-name-taken"),
    "form's item": Noun("POST", "/v1/forms", lambda _, name: {"name": "表", "items": [{"name": "项"}, {"name": name}]}, "/items/1/name"),
    "taxonomy": Noun(
        "POST",
        "/v1/taxonomies",
        lambda _, name: {"code": f"T{abs(hash(name))}", "name": name, "kind": "theme"},
        "/name",
        who="authority",
        taken="taxonomy-name-taken",
    ),
    "sector": Noun(
        "PUT",
        "/v1/sectors/{}",
        lambda _, name: {"name": name, "main_system_cap": 1, "master_data_cap": 1},
        "/name",
        who="authority",
        taken="sector-name-taken",
    ),
    "edition": Noun("POST", "/v1/editions", lambda _, name: {"year": _year(), "title": name}, "/title", who="authority"),
}
ONCE = [name for name, noun in NOUNS.items() if noun.taken]


async def send(node: Any, noun: Noun, name: str, number: int = 0) -> Any:
    headers = node.authority if noun.who == "authority" else node.steward(node.organization_made)
    return await node.client.request(noun.method, noun.path.format(f"s{number}"), json=noun.body(node, name), headers=headers)


@pytest.mark.parametrize("name", NOUNS)
async def test_what_cannot_be_seen_or_only_looks_latin_is_refused_in_every_name(strict_node: Any, is_problem: Any, name: str) -> None:
    noun = NOUNS[name]
    before = await strict_node.events()
    for character in UNSEEN:
        wrong = is_problem(await send(strict_node, noun, f"名{character}录"), 422)
        assert [error["pointer"] for error in wrong["errors"]] == [noun.pointer], character.encode("unicode-escape")
        assert f"U+{ord(character):04X}" in wrong["errors"][0]["detail"]
    for text in (*FULL_WIDTH, *MIXED):
        wrong = is_problem(await send(strict_node, noun, text), 422)
        assert [error["pointer"] for error in wrong["errors"]] == [noun.pointer], text
    assert await strict_node.events() == before


@pytest.mark.parametrize("name", ONCE)
async def test_a_name_like_a_known_one_is_that_name(strict_node: Any, is_problem: Any, name: str) -> None:
    noun = NOUNS[name]
    made = await send(strict_node, noun, KNOWN)
    assert made.is_success, made.text
    for number, like in enumerate(LIKE, start=1):
        taken = is_problem(await send(strict_node, noun, like, number), 409, noun.taken)
        assert KNOWN in taken["detail"]
        assert [error["pointer"] for error in taken["errors"]] == [noun.pointer]


async def test_two_items_and_two_codes_that_look_alike_are_one(strict_node: Any, is_problem: Any) -> None:
    steward = strict_node.steward(strict_node.organization_made)
    for like in LIKE:
        body = _resource(strict_node, name="两项一名", items=_items(KNOWN, like))
        wrong = is_problem(await strict_node.client.post("/v1/resources", json=body, headers=steward), 422)
        assert [error["pointer"] for error in wrong["errors"]] == ["/items/1/name"], like
    codes = {"title": "码", "codes": ["度", "\ufa01"]}
    wrong = is_problem(await strict_node.client.put("/v1/code-sets/x", json=codes, headers=strict_node.authority), 422)
    assert [error["pointer"] for error in wrong["errors"]] == ["/codes/1"]


async def test_an_organization_is_known_by_its_code_and_a_code_in_other_letters_is_none(strict_node: Any, is_problem: Any) -> None:
    for uscc in ("１１330600MB1573660P", "11330600mb1573660p", "11330600МВ1573660P", "11330600MB1573660P\u200b"):
        body = _organization(strict_node, "同码异形") | {"uscc": uscc}
        wrong = is_problem(await strict_node.client.post("/v1/organizations", json=body, headers=strict_node.authority), 422)
        assert [error["pointer"] for error in wrong["errors"]] == ["/uscc"]
