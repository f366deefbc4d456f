"""Shared APIs: who may call them, how often, what is counted, and what is told of it."""

import asyncio
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from dxmesh_runtime.db import connect, utc_now, uuid7
from dxmesh_runtime.settings import DatabaseSettings
from dxmesh_schemas.catalog import SystemState
from dxmesh_schemas.catalog_events import SystemChanged, SystemRegistered
from dxmesh_schemas.exchange_usage import ApiUsed
from dxmesh_schemas.problem import Problem
from exchange_svc.api import commands, domain, store
from exchange_svc.api.settings import ApiSettings
from exchange_svc.api.worker import roll_up_due


async def call(exchange: Any, grant_id: str, *, by: Any = None, system: object = None, **params: Any) -> Any:
    headers = exchange.steward(by or exchange.requester) | ({"X-System": str(system)} if system else {})
    return await exchange.client.get(f"/v1/grants/{grant_id}/rows", params=params, headers=headers)


async def usage(exchange: Any, *, who: Any = None, **params: Any) -> list[Any]:
    headers = exchange.authority if who is None else exchange.steward(who)
    answer = await exchange.client.get("/v1/apis/usage", params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["items"]
    return found


async def apis(exchange: Any, *, by: Any = None, **params: Any) -> Any:
    headers = exchange.authority if by is None else exchange.steward(by)
    return (await exchange.client.get("/v1/apis", params=params, headers=headers)).json()


def slug(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).rsplit("/", 1)[1]


async def system_of(exchange: Any, organization: Any, **changes: Any) -> UUID:
    system_id = uuid7()
    await exchange.deliver(SystemRegistered(system_id=system_id, organization_id=organization.organization_id, name="业务系统", **changes))
    return system_id


async def shared(exchange: Any, **terms: Any) -> tuple[Any, str]:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    grant = await exchange.granted(resource, **({"terms": terms} if terms else {}))
    return resource, grant["grant_id"]


async def round_of(exchange: Any, *, now: Any = None, **settings: Any) -> None:
    database = connect(DatabaseSettings(url=exchange.url))
    await roll_up_due(database, ApiSettings(**settings), now=now or utc_now())
    await database.close()


async def test_every_call_is_counted_once_whether_or_not_it_is_part_of_an_hour(exchange: Any) -> None:
    resource, grant_id = await shared(exchange)
    system = await system_of(exchange, exchange.requester)
    for _ in range(3):
        assert (await call(exchange, grant_id, limit=2)).status_code == 200
    await round_of(exchange)
    assert (await call(exchange, grant_id, system=system)).status_code == 200
    assert (await call(exchange, grant_id, cursor="x")).status_code == 422
    for _ in range(2):
        found = {(row["system_id"], row["call_count"], row["refused_count"], row["row_count"]) for row in await usage(exchange)}
        assert found == {(None, 3, 1, 6), (str(system), 1, 0, 3)}
        await round_of(exchange)
    [entry] = (await apis(exchange, resource_id=resource.resource_id))["items"][:1]
    assert (entry["api"], entry["call_count"], entry["refused_count"]) == ("pull", 4, 1)
    [row] = await usage(exchange, system_id=system, by="hour")
    assert (row["scenario"], row["purpose"], row["api"]) == ("老年人优待证", "核对居住街道", "pull")
    assert row["period"].endswith(":00:00+08:00")
    assert await usage(exchange, by="day", until=(utc_now() - timedelta(days=2)).isoformat()) == []


async def test_counts_are_exact_while_calls_become_hours_beside_them(exchange: Any) -> None:
    _, grant_id = await shared(exchange)
    going = True

    async def rounds() -> None:
        while going:
            await round_of(exchange)

    task = asyncio.create_task(rounds())
    seen = 0
    for _ in range(10):
        answers = await asyncio.gather(*(call(exchange, grant_id, limit=1) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        [row] = await usage(exchange)
        assert row["call_count"] >= seen + 5
        seen = row["call_count"]
    going = False
    await task
    [row] = await usage(exchange)
    assert (row["call_count"], row["row_count"]) == (50, 50)


async def test_a_call_that_is_not_the_holders_is_nobodys(exchange: Any) -> None:
    _, grant_id = await shared(exchange)
    for by in (exchange.provider, exchange.stranger):
        assert slug(await call(exchange, grant_id, by=by)) == (404, "grant-not-found")
    assert await usage(exchange) == []


async def test_refused_calls_are_counted_apart_with_their_grant(exchange: Any) -> None:
    resource, grant_id = await shared(exchange)
    other = (await exchange.granted(resource, terms={"modes": ["topic"]}))["grant_id"]
    assert slug(await call(exchange, other)) == (403, "mode-not-granted")
    body = {"reason": "misuse"}
    await exchange.client.post(f"/v1/grants/{grant_id}/suspension", json=body, headers=exchange.steward(exchange.provider))
    assert slug(await call(exchange, grant_id)) == (403, "grant-suspended")
    counts = {row["grant_id"]: (row["call_count"], row["refused_count"]) for row in await usage(exchange, by="day")}
    assert counts == {grant_id: (0, 1), other: (0, 1)}


@pytest.mark.parametrize(
    ("change", "body", "refusal"),
    [
        ("expiry", None, "the grant was good until"),
        ("suspension", {"reason": "misuse"}, "the grant is suspended: misuse"),
        ("termination", {"reason": "over"}, "the grant was terminated: over"),
        ("terms", {"reason": "less", "approved_by": "head", "terms": {"modes": ["topic"]}}, "not for pull"),
        ("terms", {"reason": "less", "approved_by": "head", "items": ["code"]}, None),
    ],
)
async def test_an_answer_stays_here_when_the_grant_changed_while_it_was_made(exchange: Any, change: str, body: Any, refusal: Any) -> None:
    _, grant_id = await shared(exchange, modes=["pull", "topic"])
    by = SimpleNamespace(organization_id=exchange.requester.organization_id, subject="client")
    database = connect(DatabaseSettings(url=exchange.url))
    async with database.autocommit.connect() as connection:
        begun = await commands.begin(connection, UUID(grant_id), domain.Api.PULL, system_id=None, by=by, now=utc_now())
        await commands.admit(connection, begun, now=utc_now())
        if change == "expiry":
            await exchange.expire(grant_id)
        else:
            url = f"/v1/grants/{grant_id}/{change}"
            changed = await exchange.client.post(url, json=body, headers=exchange.steward(exchange.provider))
            assert changed.status_code == 201, changed.text
        with pytest.raises(Problem, match=refusal) if refusal else nullcontext():
            await commands.count(connection, begun, refused=None, now=utc_now())
    await database.close()
    assert [row["call_count"] for row in await usage(exchange)] == ([] if refusal else [1])


async def test_what_changes_is_seen_by_the_next_call(exchange: Any) -> None:
    resource, grant_id = await shared(exchange)
    whole = (await call(exchange, grant_id)).json()["items"]
    body = {"reason": "less", "approved_by": "head", "items": ["code", "people"], "terms": {"where": []}}
    where = [{"item": "people", "op": "ge", "value": 60000}]
    steward = exchange.steward(exchange.provider)
    for change, seen in (
        ({"items": ["code", "people"]}, [{"code": row["code"], "people": row["people"]} for row in whole]),
        ({"items": ["code", "people"], "terms": {"where": where}}, [{"code": "330602001", "people": 81234}]),
    ):
        answer = await exchange.client.post(f"/v1/grants/{grant_id}/terms", json=body | change, headers=steward)
        assert answer.status_code == 201, answer.text
        assert (await call(exchange, grant_id)).json()["items"] == seen
    await exchange.publish(resource_id=resource.resource_id, version=2, items=resource.items[:1])
    assert (await call(exchange, grant_id)).json()["items"] == []
    await exchange.publish(resource_id=resource.resource_id, version=3, items=resource.items[:3])
    await exchange.accepted(resource.resource_id, b"code,name,people\n9,x,70000\n", params={"kind": "upsert"})
    await exchange.fold()
    assert [row["code"] for row in (await call(exchange, grant_id)).json()["items"]] == ["330602001", "9"]
    for way in ("suspension", "resumption"):
        await exchange.client.post(f"/v1/grants/{grant_id}/{way}", json={"reason": "x"}, headers=steward)
        assert (await call(exchange, grant_id)).status_code == (403 if way == "suspension" else 200)


async def test_a_grant_for_systems_is_for_these_only(exchange: Any) -> None:
    own, other, foreign = [await system_of(exchange, who) for who in (exchange.requester, exchange.requester, exchange.stranger)]
    _, grant_id = await shared(exchange, systems=[str(own)], modes=["pull"])
    assert (await call(exchange, grant_id, system=own)).status_code == 200
    for system in (None, other, foreign, uuid7()):
        answer = await call(exchange, grant_id, system=system)
        assert slug(answer) == (403, "system-not-admitted")
        assert str(system or own) in answer.json()["detail"]
    assert (await call(exchange, grant_id, system="x")).status_code == 422
    name = {"system_id": own, "organization_id": exchange.requester.organization_id, "name": "业务系统"}
    await exchange.deliver(SystemChanged(**name, state=SystemState.RETIRED))
    assert slug(await call(exchange, grant_id, system=own)) == (403, "system-not-admitted")


async def test_a_system_of_another_is_never_named(exchange: Any) -> None:
    _, grant_id = await shared(exchange)
    foreign = await system_of(exchange, exchange.stranger)
    assert slug(await call(exchange, grant_id, system=foreign)) == (403, "system-not-admitted")


async def test_the_rate_holds_at_its_border_for_calls_at_the_same_time(exchange: Any) -> None:
    _, grant_id = await shared(exchange, calls_per_minute=5, modes=["pull"])
    minute = utc_now().replace(second=0, microsecond=0)

    async def taken(at: Any) -> bool:
        async with exchange.sessions.begin() as tx:
            return await store.take(tx, UUID(grant_id), minute=at, limit=5)

    later = minute + timedelta(hours=1)
    assert sorted(await asyncio.gather(*(taken(later) for _ in range(12)))) == [False] * 7 + [True] * 5
    assert [await taken(later - timedelta(minutes=1)), await taken(later)] == [False, False]  # a clock that is behind gains nothing
    answer = await call(exchange, grant_id)
    assert slug(answer) == (429, "rate-exceeded")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert "5 calls a minute" in answer.json()["detail"]
    assert await taken(later + timedelta(minutes=1))
    [row] = await usage(exchange)
    assert (row["call_count"], row["refused_count"]) == (0, 1)


async def test_hours_that_are_over_are_told_and_told_anew_when_more_is_counted(exchange: Any) -> None:
    resource, grant_id = await shared(exchange)
    system = await system_of(exchange, exchange.requester)
    for _ in range(2):
        await call(exchange, grant_id, system=system)
    await call(exchange, grant_id, cursor="x")

    async def told() -> list[ApiUsed]:
        return [event for event in await exchange.outbox() if isinstance(event, ApiUsed)]

    await round_of(exchange)
    assert await told() == []
    over = utc_now() + timedelta(hours=1, minutes=5)
    for _ in range(2):
        await round_of(exchange, now=over)
    assert sum(event.call_count for event in await told()) == 2
    async with exchange.sessions.begin() as tx:  # one that was counted late
        statement = (
            "INSERT INTO api_call (grant_id, api, resource_id, provider_id, requester_id, subject, row_count, question_count, called_at)"
        )
        select = " SELECT grant_id, api, resource_id, provider_id, requester_id, subject, 7, 0, last_called_at FROM api_hour LIMIT 1"
        await tx.execute(text(statement + select))
    await round_of(exchange, now=over)
    newest: dict[Any, ApiUsed] = {event.hour: event for event in await told()}
    assert sum(event.call_count for event in newest.values()) == 3
    last = (await told())[-1]
    assert (last.requester, last.provider_id, str(last.grant_id), last.api) == (
        exchange.requester,
        resource.provider.organization_id,
        grant_id,
        "pull",
    )
    assert system in {one for event in newest.values() for one in event.system_ids}


async def test_records_of_use_are_kept_for_three_years_and_more(exchange: Any) -> None:
    _, grant_id = await shared(exchange)
    await call(exchange, grant_id)
    await round_of(exchange, now=utc_now() + timedelta(days=1095))
    assert len(await usage(exchange)) == 1
    await round_of(exchange, now=utc_now() + timedelta(days=1828))
    assert await usage(exchange) == []
    with pytest.raises(ValueError, match="1096"):
        ApiSettings(use_record_days=1095)


async def test_a_provider_sees_its_apis_a_requester_those_it_may_call_the_authority_all(exchange: Any) -> None:
    resource, grant_id = await shared(exchange, modes=["pull", "verify"], calls_per_minute=60)
    hidden = await exchange.publish(provider=exchange.stranger)
    await call(exchange, grant_id)
    for by, expected in (
        (exchange.requester, {(str(resource.resource_id), "pull"), (str(resource.resource_id), "verify")}),
        (exchange.provider, {(str(resource.resource_id), "pull"), (str(resource.resource_id), "verify")}),
        (exchange.stranger, {(str(hidden.resource_id), "pull"), (str(hidden.resource_id), "verify")}),
    ):
        assert {(row["resource_id"], row["api"]) for row in (await apis(exchange, by=by))["items"]} == expected
    assert len((await apis(exchange))["items"]) == 4
    [mine] = (await apis(exchange, by=exchange.requester, provider_id=exchange.provider.organization_id))["items"][:1]
    assert (mine["call_count"], mine["version"], mine["holders"][0]["calls_per_minute"]) == (1, 1, 60)
    assert mine["holders"][0]["addresses"] == [f"/v1/grants/{grant_id}/rows", f"/v1/grants/{grant_id}/changes"]
    assert (await apis(exchange, by=exchange.requester, provider_id=exchange.stranger.organization_id))["items"] == []
    seen, cursor = [], None
    while True:
        page = await apis(exchange, limit=1, **({"cursor": cursor} if cursor else {}))
        seen += [(row["resource_id"], row["api"]) for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 4
    assert [row["call_count"] for row in await usage(exchange, who=exchange.provider)] == [1]
    assert await usage(exchange, who=exchange.stranger) == []
    await exchange.expire(grant_id)
    assert (await apis(exchange, by=exchange.requester))["items"] == []
