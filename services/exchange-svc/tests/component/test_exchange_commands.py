"""The command line of requests and grants, against a service that listens: terms from a file and from options, a grant to its end."""

import json
from pathlib import Path
from typing import Any

import pytest

from dxmesh_client.cli.terms import backfill_of, condition_of, mask_of, told, unmasked_of
from dxmesh_client.errors import ClientError
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog import SharingType


async def test_a_grant_is_asked_for_narrowed_changed_suspended_and_disposed_of(exchange: Any, cli: Any, tmp_path: Path) -> None:
    resource = await exchange.publish(sharing_type=SharingType.CONDITIONAL, sharing_condition="仅限老年人服务")
    file = tmp_path / "terms.json"
    file.write_text(json.dumps({"where": [{"item": "code", "op": "prefix", "values": ["3306"]}], "modes": ["pull"]}), encoding="utf-8")
    why = ["--basis", "条例第二十条", "--scenario", "优待证", "--purpose", "核对", "--approved-by", "局长"]
    wanted = ["--terms", str(file), "--where", "people ge 1", "--mode", "pull", "--mode", "topic"]
    asked = await cli("requester", "request", "submit", str(resource.resource_id), *why, *wanted)
    assert [one["op"] for one in asked["terms"]["where"]] == ["prefix", "ge"]
    less = ["--mask", "name keep 1,0", "--item", "code", "--item", "name", "--item", "people"]
    given = await cli("provider", "request", "decide", asked["request_id"], "granted", "--approved-by", "局长", *less)
    grant_id = given["grant_id"]
    sign = ["--reason", "收窄", "--approved-by", "局长"]
    less = ["--where", "code in 330602001,330602002", "--mask", "name drop", "--mode", "pull"]
    with pytest.raises(ClientError, match="leave backfill out"):
        await cli("provider", "grant", "terms", grant_id, *sign, *less, "--backfill", "none")
    changed = await cli("provider", "grant", "terms", grant_id, *sign, *less)
    assert ([one["op"] for one in changed["terms"]["where"]], changed["terms"]["masks"][0]["mask"]) == (["prefix", "ge", "in"], "drop")
    today = day_of(utc_now()).isoformat()
    assert (await cli("provider", "grant", "suspend", grant_id, "--reason", "超用途", "--remedy-until", today))["remedy_until"] == today
    assert (await cli("provider", "grant", "resume", grant_id, "--reason", "已整改"))["state"] == "delivering"
    assert (await cli("requester", "grant", "terminate", grant_id, "--reason", "业务结束"))["state"] == "terminated"
    filed = await cli("requester", "grant", "dispose", grant_id, "--what", "副本", "--how", "删除", "--on", today, "--by", "信息中心")
    assert filed["disposal"]["disposed_on"] == today
    with pytest.raises(ClientError, match="disposed"):
        await cli("provider", "grant", "terms", grant_id, *sign)


async def test_a_request_goes_its_way_from_a_draft_to_its_answer_from_the_command_line(exchange: Any, cli: Any) -> None:
    resource = await exchange.publish(sharing_type=SharingType.CONDITIONAL, sharing_condition="仅限老年人服务")
    papers = ["--basis", "条例第二十条", "--scenario", "优待证", "--purpose", "核对"]
    draft = await cli("requester", "request", "submit", str(resource.resource_id), *papers)
    assert (draft["state"], draft["approved_by"]) == ("draft", None)
    one = draft["request_id"]
    with pytest.raises(ClientError, match="what is: approve"):
        await cli("requester", "request", "hand-in", one)
    assert (await cli("requester", "request", "approve", one, "--approved-by", "局长"))["state"] == "approved"
    assert (await cli("requester", "request", "hand-in", one))["state"] == "under_review"
    asked = await cli("provider", "request", "materials", one, "--missing", "法律依据全文", "--missing", "系统定级证明")
    assert (asked["state"], asked["missing"], asked["standing"]) == ("materials_requested", ["法律依据全文", "系统定级证明"], "paused")
    assert (await cli("requester", "request", "supply", one, "--supplied", "已补正"))["standing"] == "running"
    await cli("provider", "request", "extend", one, "--days", "5", "--reason", "需核实")
    extended = await cli("authority", "request", "consent", one, "--approved-by", "数据局局长")
    assert (extended["state"], extended["extension"]["outcome"]) == ("extended", "granted")
    assert (await cli("requester", "request", "withdraw", one, "--reason", "不再需要"))["state"] == "withdrawn"
    other = (await cli("requester", "request", "submit", str(resource.resource_id), *papers, "--approved-by", "局长"))["request_id"]
    await cli("provider", "request", "extend", other, "--days", "5", "--reason", "需核实")
    refused = await cli("authority", "request", "consent", other, "--refuse", "--approved-by", "数据局局长")
    assert (refused["state"], refused["extension"]["outcome"]) == ("under_review", "refused")


def test_terms_are_told_in_the_words_in_which_they_are_given() -> None:
    where = ["code prefix 3306,3301", "people ge 60", "since period 2026-01-01.."]
    masks = ["name keep 1,0", "id pseudonym", "note replace 略"]
    given = {"where": [*map(condition_of, where)], "masks": [*map(mask_of, masks)], "modes": ["topic", "pull"]}
    assert list(told(given)) == [*(f"where {one}" for one in where), *(f"mask {one}" for one in masks), "modes topic, pull"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("code eq 330602001", {"item": "code", "op": "eq", "value": "330602001"}),
        ("is_old eq true", {"item": "is_old", "op": "eq", "value": True}),
        ('word eq "true"', {"item": "word", "op": "eq", "value": "true"}),
        ("name ne 张 三", {"item": "name", "op": "ne", "value": "张 三"}),
        ("code in A,B", {"item": "code", "op": "in", "values": ["A", "B"]}),
        ("code prefix 3306,3301", {"item": "code", "op": "prefix", "values": ["3306", "3301"]}),
        ("day period 2026-01-01..", {"item": "day", "op": "period", "first": "2026-01-01", "last": None}),
    ],
)
def test_a_condition_is_three_words(text: str, wanted: dict[str, Any]) -> None:
    assert condition_of(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name keep 1,2", {"mask": "keep", "prefix": 1, "suffix": 2}),
        ("name keep 1", {"mask": "keep", "prefix": 1, "suffix": 0}),
        ("name pseudonym", {"mask": "pseudonym"}),
        ("name date year", {"mask": "date", "to": "year"}),
        ("name number 0.5", {"mask": "number", "width": "0.5"}),
        ("name replace 某 人", {"mask": "replace", "value": "某 人"}),
    ],
)
def test_a_mask_is_an_item_and_what_is_done_to_it(text: str, wanted: dict[str, Any]) -> None:
    assert mask_of(text) == {"item": "name"} | wanted


def test_earlier_batches_are_all_none_or_since_a_day() -> None:
    assert [backfill_of(one)["since"] for one in ("all", "none", "2026-01-31")] == ["all", "none", "2026-01-31"]
    with pytest.raises(ClientError, match="all, none, or a day such as"):
        backfill_of("some")


@pytest.mark.parametrize("text", ["code", "code like x", "code eq", "day period 2026", "day period 2026..", "day period 2026-01-01..soon"])
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ClientError, match="--where"):
        condition_of(text)


@pytest.mark.parametrize("text", ["code", "code blur", "code keep x", "code drop all", "code date"])
def test_what_is_no_mask_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ClientError, match="--mask"):
        mask_of(text)


def test_a_reason_stands_behind_its_item() -> None:
    assert unmasked_of(["name=核对=身份"]) == {"name": "核对=身份"}
    with pytest.raises(ClientError, match="ITEM=REASON"):
        unmasked_of(["name"])
