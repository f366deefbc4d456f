"""Figures of shared APIs in a running mesh: pull and verify mixed at a steady rate, over a table of a million rows, counted exactly."""

import asyncio
import math
import time
from uuid import UUID

import httpx

from benchmarks.flow import Flow
from benchmarks.report import Row
from tests.e2e.node import until

_ROWS, _RATE, _SECONDS, _PAGE_ROWS = 1_000_000, 100, 30, 100


def run(flow: Flow, *, rows: int = _ROWS, seconds: int = _SECONDS) -> list[Row]:
    """Fill a table, call its two APIs in turn, and hold the counters against the calls."""
    resource_id, _ = flow.resource("共享接口")
    grant_id = flow.node.grant(flow.requester, resource_id, terms={"modes": ["pull", "verify"]}).grant_id
    flow.provider.client.push(resource_id, flow.files(1, rows)[0])
    exchange, client = flow.node.profile.exchange, flow.requester.client
    until(lambda: client.call("GET", f"{exchange}/v1/resources/{resource_id}/table").json()["row_count"] == rows, 300, "the table lags")
    asyncio.run(_calls(flow, grant_id, rows, 5))  # warm-up
    before = _counted(flow, resource_id)
    taken = asyncio.run(_calls(flow, grant_id, rows, seconds))
    missed = len(taken) - (_counted(flow, resource_id) - before)
    ordered = sorted(taken)
    p50, p99 = (ordered[math.ceil(part * len(ordered)) - 1] * 1000 for part in (0.5, 0.99))
    work = f"pull of {_PAGE_ROWS} rows and verification in turn, {_RATE} calls/s, a table of {rows:,} rows"
    return [
        Row("api_calls_p50_ms", work, p50, "ms"),
        Row("api_calls_p99_ms", work, p99, "ms", "<= 50"),
        Row("api_calls_miscounted", f"of {len(taken):,} calls, counters read right after the last", abs(missed), "calls", "<= 0"),
    ]


def _counted(flow: Flow, resource_id: UUID) -> int:
    url = f"{flow.node.profile.exchange}/v1/apis/usage"
    found = flow.requester.client.call("GET", url, params={"resource_id": str(resource_id)}).json()["items"]
    return sum(row["call_count"] for row in found)


async def _calls(flow: Flow, grant_id: UUID, rows: int, seconds: int) -> list[float]:
    """Call at a steady rate (open loop); return how long each call took from when it was due."""
    headers = {"Authorization": f"Bearer {flow.requester.client.token()}"}
    url = f"{flow.node.profile.exchange}/v1/grants/{grant_id}"
    count = _RATE * seconds
    taken: list[float] = []
    async with httpx.AsyncClient(headers=headers, timeout=30, limits=httpx.Limits(max_connections=64)) as client:
        begun = time.perf_counter()

        async def call(number: int) -> None:
            due = begun + number / _RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if number % 2:
                name = f"33060200-{1_000_000_000 + number * 7919 % rows}"
                question = [{"item": "id", "op": "eq", "value": name}, {"item": "state", "op": "eq", "value": "在营"}]
                answer = await client.post(f"{url}/verification", json={"questions": [{"conditions": question}]})
            else:
                answer = await client.get(f"{url}/rows", params={"limit": _PAGE_ROWS})
            answer.raise_for_status()
            taken.append(time.perf_counter() - due)

        await asyncio.gather(*(call(number) for number in range(count)))
    return taken
