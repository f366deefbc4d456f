"""Counts of calls when the service is killed among them: a process of its own, on the database that the test looks into."""

import asyncio
from typing import Any

import httpx
from sqlalchemy import text

_CALLERS, _CALLS = 8, 40
_WAITING = "FROM pg_locks WHERE relation = 'api_call'::regclass AND NOT granted"


async def test_every_answered_call_is_counted_when_the_service_is_killed(exchange: Any, service: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    answered: list[int] = []

    async def caller(http: httpx.AsyncClient) -> None:
        while True:
            try:
                answer = await http.get(f"/v1/grants/{grant_id}/rows", params={"limit": 2}, headers=exchange.steward(exchange.requester))
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            answered.append(len(answer.json()["items"]))

    async with httpx.AsyncClient(base_url=service.url, timeout=60) as http, asyncio.timeout(60):
        callers = [asyncio.create_task(caller(http)) for _ in range(_CALLERS)]
        while len(answered) < _CALLS:
            await asyncio.sleep(0.01)
        async with exchange.sessions() as tx:  # from here on no call can be counted, so none may be answered
            await tx.execute(text("LOCK TABLE api_call IN SHARE ROW EXCLUSIVE MODE"))
            while await tx.scalar(text(f"SELECT count(*) {_WAITING}")) < _CALLERS:
                await asyncio.sleep(0.01)
            await service.kill()
            await asyncio.gather(*callers)
            await tx.execute(text(f"SELECT pg_terminate_backend(pid) {_WAITING}"))  # what they wait to enter was not answered
            while await tx.scalar(text(f"SELECT count(*) {_WAITING}")):
                await asyncio.sleep(0.01)
    usage = (await exchange.client.get("/v1/apis/usage", headers=exchange.authority)).json()["items"]
    assert [(row["call_count"], row["row_count"], row["refused_count"]) for row in usage] == [(len(answered), sum(answered), 0)]
    assert len(answered) >= _CALLS
