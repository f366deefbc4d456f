"""Records of use: what a requester did with shared data and what came of it, filed once and kept."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.exchange_usage import GrantUseRecorded
from exchange_svc.grant.store import Grant

TOLD = {"process": "受理优待证时核对居住街道", "effect": "免交居住证明", "storage": "不留副本", "case_count": 1240}


async def given(exchange: Any, *, days_ago: int = 10, **options: Any) -> str:
    """Return a grant that was given some days ago."""
    grant_id = (await exchange.granted(await exchange.publish(), **options))["grant_id"]
    async with exchange.sessions.begin() as tx:
        row = {"activated_at": utc_now() - timedelta(days=days_ago)}
        await tx.execute(update(Grant).where(Grant.grant_id == UUID(grant_id)).values(row))
    return str(grant_id)


def days(first: int, last: int) -> dict[str, str]:
    """Return days from today on, in China."""
    today = day_of(utc_now())
    return {"first_on": (today + timedelta(days=first)).isoformat(), "last_on": (today + timedelta(days=last)).isoformat()}


async def filed(exchange: Any, grant_id: object, *, by: Any = None, **body: Any) -> Any:
    headers = exchange.steward(by or exchange.requester)
    return await exchange.client.post(f"/v1/grants/{grant_id}/uses", json=TOLD | body, headers=headers)


async def listed(exchange: Any, who: Any = None, **params: Any) -> list[Any]:
    headers = exchange.authority if who is None else exchange.steward(who)
    answer = await exchange.client.get("/v1/uses", params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    return [one["grant_id"] for one in answer.json()["items"]]


def problem(answer: Any, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_requester_records_what_it_did_and_what_came_of_it(exchange: Any) -> None:
    grant_id = await given(exchange)
    answer = await filed(exchange, grant_id, **days(-9, -1))
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert found["use"] == TOLD
    told = [event for event in await exchange.outbox() if isinstance(event, GrantUseRecorded)]
    assert [(str(one.use_id), str(one.grant_id), one.use.effect) for one in told] == [(found["use_id"], grant_id, "免交居住证明")]
    assert (await filed(exchange, grant_id, **days(-10, 0))).status_code == 201, "the first and the last day that may be recorded"


async def test_a_record_is_kept_as_it_was_filed(exchange: Any) -> None:
    grant_id = await given(exchange)
    await filed(exchange, grant_id, **days(-9, -1))
    assert problem(await filed(exchange, grant_id, effect="另一说法", **days(-9, -1)), 409)["type"].endswith("/use-recorded")
    [kept] = (await exchange.client.get("/v1/uses", headers=exchange.authority)).json()["items"]
    assert kept["use"]["effect"] == "免交居住证明"
    assert len([event for event in await exchange.outbox() if isinstance(event, GrantUseRecorded)]) == 1


@pytest.mark.parametrize(("first", "last", "pointer"), [(-11, -1, "/first_on"), (-3, 1, "/last_on"), (-1, -2, "/last_on")])
async def test_days_without_a_grant_are_named(exchange: Any, first: int, last: int, pointer: str) -> None:
    grant_id = await given(exchange)
    assert [one["pointer"] for one in problem(await filed(exchange, grant_id, **days(first, last)), 422)["errors"]] == [pointer]
    assert await listed(exchange) == []


async def test_use_until_the_end_is_recorded_after_it_and_no_later_use(exchange: Any) -> None:
    grant_id = await given(exchange)
    async with exchange.sessions.begin() as tx:
        await tx.execute(update(Grant).where(Grant.grant_id == UUID(grant_id)).values(use_until=utc_now() - timedelta(days=3)))
    assert "the last day of the grant" in problem(await filed(exchange, grant_id, **days(-9, -2)), 422)["detail"]
    assert (await filed(exchange, grant_id, **days(-9, -3))).status_code == 201


async def test_only_the_holder_records_and_both_sides_and_the_authority_see(exchange: Any) -> None:
    one, other = await given(exchange), await given(exchange, by=exchange.stranger)
    for by in (exchange.provider, exchange.stranger):
        problem(await filed(exchange, one, by=by, **days(-2, -1)), 404)
    problem(await filed(exchange, uuid7(), **days(-2, -1)), 404)
    await filed(exchange, one, **days(-2, -1))
    await filed(exchange, other, by=exchange.stranger, **days(-2, -1))
    assert await listed(exchange) == await listed(exchange, exchange.provider) == [other, one]
    assert (await listed(exchange, exchange.requester), await listed(exchange, exchange.stranger)) == ([one], [other])
    assert await listed(exchange, grant_id=one) == [one]
    assert await listed(exchange, exchange.stranger, grant_id=one) == []
    assert (await exchange.client.get("/v1/uses", params={"cursor": "x"}, headers=exchange.authority)).status_code == 422


async def test_what_is_missing_is_named(exchange: Any) -> None:
    grant_id = await given(exchange)
    for wrong in ({"effect": ""}, {"storage": None}, {"case_count": -1}, {"first_on": "yesterday"}, {"scenario": "x"}):
        body = days(-2, -1) | wrong
        assert f"/{next(iter(wrong))}" in [one["pointer"] for one in problem(await filed(exchange, grant_id, **body), 422)["errors"]]
