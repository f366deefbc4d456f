"""Verification without disclosure: yes or no about one, counts of many, and never the rows."""

import asyncio
from typing import Any

import pytest

from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.catalog import DataItem, DataType, ItemFormat
from exchange_svc.api import routes

ITEMS = (
    DataItem(code="code", name="编号", data_type=DataType.TEXT, required=True),
    DataItem(code="holder", name="身份证号", data_type=DataType.TEXT, format=ItemFormat.RESIDENT_ID),
    DataItem(code="area", name="区划", data_type=DataType.TEXT),
    DataItem(code="amount", name="金额", data_type=DataType.DOUBLE),
    DataItem(code="since", name="日期", data_type=DataType.DATE),
    DataItem(code="secret", name="其他", data_type=DataType.TEXT),
)
HOLDERS = ["11010519491231002X", "440524188001010014"]
VERIFY: dict[str, Any] = {"modes": ["verify"]}


@pytest.fixture(autouse=True)
def one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no midnight fall into a test: counts are of a day."""
    today = day_of(utc_now())
    monkeypatch.setattr(routes, "day_of", lambda _: today)


def body(count: int = 60) -> bytes:
    lines = (
        f"{n:03},{HOLDERS[n] if n < 2 else ''},{'3306' if n < 45 else '3307'},{n}.5,2001-01-{n % 28 + 1:02},x{n}" for n in range(count)
    )
    return ("code,holder,area,amount,since,secret\n" + "\n".join(lines) + "\n").encode()


async def shared(exchange: Any, *, items: Any = None, **terms: Any) -> str:
    resource = await exchange.publish(items=ITEMS)
    await exchange.accepted(resource.resource_id, body())
    await exchange.fold()
    options = {"items": items} if items else {}
    return str((await exchange.granted(resource, terms=VERIFY | terms, **options))["grant_id"])


async def ask(exchange: Any, grant_id: str, *questions: Any, way: str = "verification", by: Any = None) -> Any:
    asked = {"questions": [{"conditions": conditions} for conditions in questions]}
    headers = exchange.steward(by or exchange.requester)
    return await exchange.client.post(f"/v1/grants/{grant_id}/{way}", json=asked, headers=headers)


async def counted(exchange: Any, grant_id: str, *questions: Any) -> list[Any]:
    answer = await ask(exchange, grant_id, *questions, way="count")
    assert answer.status_code == 200, answer.text
    return [one["count"] if one["withheld"] is None else one["withheld"] for one in answer.json()["counts"]]


def slug(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).rsplit("/", 1)[1]


def pointers(answer: Any) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


def eq(item: str, value: Any) -> dict[str, Any]:
    return {"item": item, "op": "eq", "value": value}


def above(item: str, value: Any) -> dict[str, Any]:
    return {"item": item, "op": "ge", "value": value}


async def test_a_question_about_one_is_answered_with_yes_or_no_and_nothing_else(exchange: Any) -> None:
    grant_id = await shared(exchange)
    period = {"item": "since", "op": "period", "first": "2001-01-02", "last": "2001-01-02"}
    answer = await ask(
        exchange,
        grant_id,
        [eq("code", "001")],
        [eq("code", "999")],
        [eq("code", "001"), above("amount", 1.5), period],
        [eq("code", "001"), above("amount", 1.6)],
        [eq("holder", HOLDERS[0]), {"item": "area", "op": "prefix", "values": ["3306"]}],
        [eq("holder", HOLDERS[0]), eq("code", "001")],
        [eq("code", "001"), eq("code", "002")],
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"answers": [True, False, True, False, True, False, False], "sequence": 1}
    rows = await exchange.client.get(f"/v1/grants/{grant_id}/rows", headers=exchange.steward(exchange.requester))
    assert slug(rows) == (403, "mode-not-granted")
    usage = await exchange.client.get("/v1/apis/usage", headers=exchange.authority)
    counts = {
        (row["api"], row["call_count"], row["refused_count"], row["question_count"], row["row_count"]) for row in usage.json()["items"]
    }
    assert counts == {("verify", 1, 0, 7, 0), ("pull", 0, 1, 0, 0)}


async def test_the_answer_is_of_the_newest_table_and_of_the_grants_rows_only(exchange: Any) -> None:
    resource = await exchange.publish(items=ITEMS)
    where = [{"item": "area", "op": "in", "values": ["3306"]}]
    grant_id = (await exchange.granted(resource, terms=VERIFY | {"where": where}))["grant_id"]
    assert (await ask(exchange, grant_id, [eq("code", "001")])).json() == {"answers": [False], "sequence": 0}
    assert await counted(exchange, grant_id, []) == ["fewer_than_floor"]
    await exchange.accepted(resource.resource_id, body())
    await exchange.fold()
    assert (await ask(exchange, grant_id, [eq("code", "001")], [eq("code", "050")])).json()["answers"] == [True, False]
    assert await counted(exchange, grant_id, [above("amount", 20)]) == [25]
    change = b"code,holder,area,amount,since,secret\n001,,3307,1,2001-01-01,x\n050,,3306,1,2001-01-01,x\n"
    await exchange.accepted(resource.resource_id, change, params={"kind": "upsert"})
    await exchange.fold()
    assert (await ask(exchange, grant_id, [eq("code", "001")], [eq("code", "050")])).json()["answers"] == [False, True]


async def test_a_question_names_whom_it_is_about_by_key_or_identifier(exchange: Any) -> None:
    grant_id = await shared(exchange)
    for vague in (
        [],
        [above("amount", 3)],
        [{"item": "code", "op": "in", "values": ["001", "002"]}],
        [{"item": "code", "op": "prefix", "values": ["0"]}],
        [{"item": "code", "op": "ge", "value": "001"}],
        [eq("area", "3306")],
    ):
        answer = await ask(exchange, grant_id, [eq("code", "001")], vague)
        assert (slug(answer), pointers(answer)) == ((422, "question-invalid"), ["/questions/1/conditions"])
        assert "on code or on holder" in answer.json()["detail"]
    without = await shared(exchange, items=["area", "amount"])
    answer = await ask(exchange, without, [eq("area", "3306")])
    assert slug(answer) == (422, "question-invalid")
    assert "neither" in answer.json()["detail"]


async def test_nothing_is_asked_about_what_is_not_granted_or_masked(exchange: Any) -> None:
    grant_id = await shared(exchange, items=["code", "area", "amount", "since"], masks=[{"item": "since", "mask": "date", "to": "year"}])
    for item in ("secret", "holder", "nothing"):
        for way in ("verification", "count"):
            answer = await ask(exchange, grant_id, [eq("code", "001"), eq(item, "x1")], way=way)
            assert (slug(answer), pointers(answer)) == ((422, "question-invalid"), ["/questions/0/conditions/1/item"])
    period = {"item": "since", "op": "period", "first": "2001-01-02"}
    answer = await ask(exchange, grant_id, [eq("code", "001"), period])
    assert (slug(answer), pointers(answer)) == ((422, "question-invalid"), ["/questions/0/conditions/1/item"])
    assert "masked" in answer.json()["detail"]
    hidden = await shared(exchange, masks=[{"item": "code", "mask": "pseudonym"}, {"item": "holder", "mask": "drop"}])
    assert slug(await ask(exchange, hidden, [eq("code", "001")])) == (422, "question-invalid")


@pytest.mark.parametrize(
    ("condition", "pointer"),
    [
        (eq("amount", "1 OR 1=1"), "/questions/0/conditions/1/value"),
        (eq("since", "2001-02-30"), "/questions/0/conditions/1/value"),
        (eq("since", "now() --"), "/questions/0/conditions/1/value"),
        (eq("amount", True), "/questions/0/conditions/1/value"),
        ({"item": "area", "op": "like", "value": "%"}, "/questions/0/conditions/1"),
        ({"item": "code; DROP TABLE api_call", "op": "eq", "value": "1"}, "/questions/0/conditions/1/eq/item"),
        ({"item": "since", "op": "period"}, "/questions/0/conditions/1/first"),
        ({"item": "area", "op": "in", "values": []}, "/questions/0/conditions/1/in/values"),
        ({"item": "area", "op": "in", "values": ["x"] * 1001}, "/questions/0/conditions/1/in/values"),
        (eq("area", None), None),
        (eq("area", {"a": 1}), None),
    ],
)
async def test_a_condition_that_cannot_be_is_named(exchange: Any, condition: Any, pointer: str | None) -> None:
    grant_id = await shared(exchange)
    answer = await ask(exchange, grant_id, [eq("code", "001"), condition])
    assert answer.status_code == 422, answer.text
    if pointer is not None:
        assert pointer in pointers(answer) or any(one.startswith(pointer) for one in pointers(answer)), answer.text
    if slug(answer)[1] == "question-invalid":  # a text stays a text, whatever it looks like
        told = await ask(exchange, grant_id, [eq("code", "001' OR '1'='1")])
        assert told.json()["answers"] == [False]


async def test_what_is_no_body_or_too_much_of_one_is_refused(exchange: Any) -> None:
    grant_id = await shared(exchange)
    headers = exchange.steward(exchange.requester) | {"Content-Type": "application/json"}
    path = f"/v1/grants/{grant_id}/verification"

    async def sent(content: bytes) -> Any:
        return await exchange.client.post(path, content=content, headers=headers)

    for number in (b"NaN", b"Infinity", b"1e999"):
        content = (
            b'{"questions":[{"conditions":[{"item":"code","op":"eq","value":"001"},{"item":"amount","op":"eq","value":%b}]}]}' % number
        )
        assert (await sent(content)).status_code in (400, 422)
    for content in (
        b"",
        b"[]",
        b"{}",
        b'{"questions":[]}',
        b'{"questions":[{}]}',
        b'{"questions":{"a":1}}',
        b'{"questions":[{"x":1}]}',
        b"\xff",
    ):
        assert (await sent(content)).status_code in (400, 422), content
    assert (await sent(b'{"questions":[' + b" " * 5_000_000 + b"]}")).status_code == 413
    many = await ask(exchange, grant_id, *([eq("code", "001")] for _ in range(101)))
    assert (slug(many), pointers(many)) == ((422, "question-invalid"), ["/questions"])
    assert (await ask(exchange, grant_id, *([eq("code", "001")] for _ in range(100)))).json()["answers"] == [True] * 100
    assert (await ask(exchange, grant_id, *([eq("code", "001")] for _ in range(1001)))).status_code == 422


async def test_whoever_may_not_ask_is_refused(exchange: Any) -> None:
    grant_id = await shared(exchange)
    for way in ("verification", "count"):
        for by in (exchange.provider, exchange.stranger):
            assert slug(await ask(exchange, grant_id, [eq("code", "001")], way=way, by=by)) == (404, "grant-not-found")
        assert slug(await ask(exchange, str(uuid7()), [eq("code", "001")], way=way)) == (404, "grant-not-found")
        pulled = (await exchange.granted(await exchange.publish(items=ITEMS)))["grant_id"]
        assert slug(await ask(exchange, pulled, [eq("code", "001")], way=way)) == (403, "mode-not-granted")
    limited = await shared(exchange, calls_per_minute=1)
    answers = [slug(await ask(exchange, limited, [eq("secret", 1)])) for _ in range(4)]  # a refused call uses the rate as well
    assert (429, "rate-exceeded") in answers
    assert set(answers) == {(422, "question-invalid"), (429, "rate-exceeded")}
    await exchange.client.post(f"/v1/grants/{grant_id}/suspension", json={"reason": "x"}, headers=exchange.steward(exchange.provider))
    assert slug(await ask(exchange, grant_id, [eq("code", "001")])) == (403, "grant-suspended")
    over = await shared(exchange)
    await exchange.expire(over)
    assert slug(await ask(exchange, over, [eq("code", "001")], way="count")) == (403, "grant-over")


async def test_counts_of_few_or_of_nearly_all_are_withheld(exchange: Any) -> None:
    grant_id = await shared(exchange)
    found = await counted(
        exchange,
        grant_id,
        [],
        [eq("area", "3306")],
        [above("amount", 51)],
        [above("amount", 50)],
        [above("amount", 9)],
        [above("amount", 10)],
        [eq("code", "001")],
        [eq("code", "none")],
        [above("amount", 0)],
    )
    assert found == [60, 45, "fewer_than_floor", 10, "nearly_all", 50, "fewer_than_floor", "fewer_than_floor", "nearly_all"]


async def test_counts_that_differ_by_too_few_are_not_both_told(exchange: Any) -> None:
    grant_id = await shared(exchange)
    area, without = eq("area", "3306"), {"item": "code", "op": "ne", "value": "001"}
    assert await counted(exchange, grant_id, [area]) == [45]
    assert await counted(exchange, grant_id, [without, area]) == ["near_another_count"]
    assert await counted(exchange, grant_id, [area, above("amount", 20)], [area, above("amount", 20), without]) == [
        25,
        "near_another_count",
    ]
    assert await counted(exchange, grant_id, [area, without], [area]) == ["near_another_count", 45]
    other = await shared(exchange)
    assert await counted(exchange, other, [without, area], [area]) == [44, "near_another_count"]


async def test_a_day_has_so_many_different_counts_and_the_same_one_again_is_the_same(exchange: Any) -> None:
    resource = await exchange.publish(items=ITEMS)
    await exchange.accepted(resource.resource_id, body())
    await exchange.fold()
    grant_id = (await exchange.granted(resource, terms=VERIFY))["grant_id"]
    assert await counted(exchange, grant_id, [eq("area", "3306")]) == [45]
    await exchange.accepted(resource.resource_id, b"code,area\n900,3306\n")
    await exchange.fold()
    assert await counted(exchange, grant_id, [eq("area", "3306")]) == [45]
    for number in range(33):
        await counted(exchange, grant_id, *([eq("amount", number * 3 + place)] for place in range(3)))
    more = await ask(exchange, grant_id, [eq("area", "3306")], [eq("amount", 1000)], way="count")
    assert slug(more) == (429, "counts-used-up")
    assert 1 <= int(more.headers["retry-after"]) <= 86_400
    assert await counted(exchange, grant_id, [eq("area", "3306")]) == [45]


async def test_counts_asked_for_at_the_same_time_take_turns(exchange: Any) -> None:
    grant_id = await shared(exchange)
    area, without = eq("area", "3306"), {"item": "code", "op": "ne", "value": "001"}
    answers = await asyncio.gather(*(counted(exchange, grant_id, question) for question in ([area], [area, without]) * 4))
    assert {answer[0] for answer in answers} in ({45, "near_another_count"}, {44, "near_another_count"})
