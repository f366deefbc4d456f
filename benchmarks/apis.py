"""Figures of shared APIs in a running mesh: pull and verify mixed at a steady rate, over a table of a million rows, counted exactly."""

import asyncio
import json
import math
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID

from benchmarks.flow import Flow
from benchmarks.report import Row
from tests.e2e.node import until

_ROWS, _RATE, _SECONDS, _WARM_SECONDS, _PAGE_ROWS = 1_000_000, 100, 15, 5, 100
_TIMEOUT_SECONDS, _READERS, _CONNECTIONS = 5.0, 8, 32


@dataclass
class _Taken:
    """How long calls took from when they were due, and how many of them had no answer."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0


def run(flow: Flow, *, rows: int = _ROWS, seconds: int = _SECONDS) -> list[Row]:
    """Fill a table, call its two APIs in turn, and hold the counters against the calls; the load ends by itself."""
    resource_id, _ = flow.resource("共享接口")
    grant_id = flow.node.grant(flow.requester, resource_id, terms={"modes": ["pull", "verify"]}).grant_id
    flow.push_through(resource_id, flow.files(1, rows), rows)
    exchange, client = flow.node.profile.exchange, flow.requester.client
    until(lambda: client.call("GET", f"{exchange}/v1/resources/{resource_id}/table").json()["row_count"] == rows, 120, "the table lags")
    asyncio.run(_calls(flow, grant_id, rows, _WARM_SECONDS))
    before, used = _counted(flow, resource_id), flow.cpu_seconds()
    taken = asyncio.run(_calls(flow, grant_id, rows, seconds))
    cpu = (flow.cpu_seconds() - used) / (_RATE * seconds) * 1000
    missed = len(taken.seconds) - (_counted(flow, resource_id) - before)
    ordered = sorted(taken.seconds) + [_TIMEOUT_SECONDS] * taken.failed
    p50, p99 = (ordered[math.ceil(part * len(ordered)) - 1] * 1000 for part in (0.5, 0.99))
    work = f"pages of {_PAGE_ROWS} rows one after the other and verification in turn, {_RATE} calls/s, a table of {rows:,} rows"
    return [
        Row("api_calls_p50_ms", work, p50, "ms"),
        Row("api_calls_p99_ms", work, p99, "ms", "<= 50"),
        Row("api_calls_cpu_ms", f"{work}: processor time of services, broker and PostgreSQL a call", cpu, "ms", "<= 8"),
        Row("api_calls_failed", f"{work}: without an answer in {_TIMEOUT_SECONDS:.0f} s", taken.failed, "calls", "<= 0"),
        Row("api_calls_miscounted", f"of {len(taken.seconds):,} calls, counters read right after the last", abs(missed), "calls", "<= 0"),
    ]


def _counted(flow: Flow, resource_id: UUID) -> int:
    url = f"{flow.node.profile.exchange}/v1/apis/usage"
    found = flow.requester.client.call("GET", url, params={"resource_id": str(resource_id)}).json()["items"]
    return sum(row["call_count"] for row in found)


class _Connection:
    """An HTTP/1.1 connection of a caller; a client library takes as long for a call as the service, on the same cores."""

    def __init__(self, origin: str, token: str) -> None:
        parts = urlsplit(origin)
        self._place = parts.hostname or "", parts.port or 80
        self._headers = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"

    async def open(self) -> None:
        """Connect, or connect anew."""
        self._reader, self._writer = await asyncio.open_connection(*self._place)

    def close(self) -> None:
        """Give the connection up."""
        self._writer.close()

    async def call(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
        """Return the status and the headers of an answer, once it was read whole."""
        about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{self._headers}{about}\r\n".encode() + body)
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)}
        await self._reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers


async def _calls(flow: Flow, grant_id: UUID, rows: int, seconds: int) -> _Taken:
    """Call at a steady rate (open loop); each of some readers goes on from its last page when its turn comes."""
    token, path = flow.requester.client.token(), f"/v1/grants/{grant_id}"
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        connection = _Connection(flow.node.profile.exchange, token)
        await connection.open()
        free.put_nowait(connection)
    taken, cursors = _Taken(), dict[int, str]()
    begun = time.perf_counter()

    async def call(number: int) -> None:
        due = begun + number / _RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = await free.get()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                if number % 2:
                    name = f"33060200-{1_000_000_000 + number * 7919 % rows}"
                    question = [{"item": "id", "op": "eq", "value": name}, {"item": "state", "op": "eq", "value": "在营"}]
                    body = json.dumps({"questions": [{"conditions": question}]}).encode()
                    status, _ = await connection.call("POST", f"{path}/verification", body)
                else:
                    reader = number // 2 % _READERS
                    cursor = f"&cursor={cursors[reader]}" if cursors.get(reader) else ""
                    status, headers = await connection.call("GET", f"{path}/rows?limit={_PAGE_ROWS}{cursor}")
                    cursors[reader] = headers.get("next-cursor", "")
        except (OSError, EOFError):  # a connection without an answer is not used again
            connection.close()
            await connection.open()
            status = 0
        free.put_nowait(connection)
        if status == 200:
            taken.seconds.append(time.perf_counter() - due)
        else:
            taken.failed += 1

    await asyncio.gather(*(call(number) for number in range(_RATE * seconds)))
    while not free.empty():
        free.get_nowait().close()
    return taken
