"""Figures of a catalogue of a city's size in a running mesh: import, search, and how soon a neighbour knows."""

import asyncio
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from benchmarks import catalog_t5
from benchmarks.flow import Flow
from benchmarks.report import Row
from dxmesh_client import Client, catalog_import
from dxmesh_client.guide import Entry
from tests.e2e.node import until

_RATE, _SECONDS = 50, 20
_SENDERS = 4
_NEIGHBOUR_RESOURCES = 200
_LEDGERS = 50
_ROLES = ["steward", "cdo", "authority"]
_COMMON = ("信息", "企业", "数据", "信", "公", "统一社会信用代码", "联系电话", "绍兴市", "登记日期")


def run(flow: Flow, *, resources: int = catalog_t5.RESOURCES) -> list[Row]:
    """Enter the catalogue, search it while nothing else happens, then publish resources one at a time."""
    clients = _parties(flow)
    taken = catalog_t5.resources()[:resources]
    seconds = _import(flow, clients, taken)
    found = [
        Row(
            "catalog_import_seconds",
            f"import of {len(taken):,} resources, {_SENDERS} departments at a time, up to publication and a neighbour",
            seconds,
            "s",
            "<= 60",
        )
    ]
    found += asyncio.run(_search(flow, taken))
    found.append(_ledger(flow))
    found.append(_neighbour(flow, clients))
    for client in clients.values():
        client.close()
    return found


def _parties(flow: Flow) -> dict[str, Client]:
    """Register publishers and systems; return a client for each, its token fetched."""
    node = flow.node
    catalog = node.profile.catalog
    clients = {}
    for publisher in catalog_t5.publishers():
        made = node.authority.call("POST", f"{catalog}/v1/organizations", json=publisher.registration()).json()
        url = f"{catalog}/v1/organizations/{made['organization_id']}/credentials"
        given = node.authority.call("POST", url, json={"name": "benchmark", "roles": _ROLES}).json()
        client = Client(node.profile.as_client(given["client_id"], given["client_secret"]))
        for system in publisher.systems:
            client.call("POST", f"{catalog}/v1/systems", json={"name": system})
        clients[publisher.uscc] = client
    return clients


def _import(flow: Flow, clients: dict[str, Client], taken: Sequence[tuple[catalog_t5.Publisher, dict[str, Any]]]) -> float:
    """Return the seconds until every resource is published and known to exchange-svc."""
    lines: dict[str, list[Entry]] = {uscc: [] for uscc in clients}
    for publisher, entry in taken:
        lines[publisher.uscc].append(Entry(len(lines[publisher.uscc]) + 1, entry | {"assessments": catalog_t5.ASSESSMENTS}))
    known = _known(flow)

    def send(uscc: str) -> None:
        result = catalog_import.send(clients[uscc], lines[uscc], until="published")
        assert result.counts["entered"] == len(lines[uscc]), result.refusals[:3]

    begun = time.perf_counter()
    with ThreadPoolExecutor(_SENDERS) as senders:
        list(senders.map(send, lines))
    entered = time.perf_counter() - begun
    until(lambda: _known(flow) >= known + len(taken), 600, "the neighbour does not know every resource")
    seconds = time.perf_counter() - begun
    print(f"  {len(taken):,} resources entered in {entered:.1f} s, known to the neighbour after {seconds:.1f} s")
    return seconds


def _known(flow: Flow) -> int:
    """Return how many resources exchange-svc keeps."""

    async def count() -> int:
        connection = await asyncpg.connect(flow.mesh.database_url("exchange_svc").replace("+asyncpg", ""))
        try:
            found: int = await connection.fetchval("SELECT count(*) FROM resource")
            return found
        finally:
            await connection.close()

    return asyncio.run(count())


def _questions(taken: Sequence[tuple[catalog_t5.Publisher, dict[str, Any]]], count: int) -> list[str]:
    """Return what readers look for: names, items, providers with a word, very common words, codes, whole sentences, near misses."""
    chance = random.Random(3)
    words = json.loads((catalog_t5.WORDS_FILE).read_text(encoding="utf-8"))
    kinds: list[Callable[[catalog_t5.Publisher, dict[str, Any]], str]] = [
        lambda _, entry: str(entry["name"]),
        lambda _, entry: str(chance.choice(entry["items"])["name"]),
        lambda publisher, entry: f"{publisher.name[3:]} {entry['name'][:4]}",
        lambda *_: chance.choice(_COMMON),
        lambda *_: str(chance.choice(words["terms"]))[:2],
        lambda *_: str(chance.choice(words["subjects"])) + str(chance.choice(words["kinds"])),
        lambda _, entry: str(chance.choice(entry["items"])["code"]),
        lambda _, entry: str(entry["summary"] * 3)[:200],
    ]
    return [chance.choices(kinds, (30, 20, 10, 10, 10, 10, 5, 5))[0](*chance.choice(taken)) for _ in range(count)]


async def _search(flow: Flow, taken: Sequence[tuple[catalog_t5.Publisher, dict[str, Any]]]) -> list[Row]:
    """Search at a steady rate (open loop); the service's own time is what its access log says of each request."""
    url = f"{flow.node.profile.catalog}/v1/search"
    headers = {"Authorization": f"Bearer {flow.node.authority.token()}"}
    log = flow.mesh.log("catalog-svc")
    taken_at_client: list[float] = []
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)) as http:

        async def ask(q: str) -> None:
            begun = time.perf_counter()
            (await http.get(url, params={"q": q}, headers=headers)).raise_for_status()
            taken_at_client.append((time.perf_counter() - begun) * 1000)

        for questions in (_questions(taken, _RATE * 3), _questions(taken, _RATE * _SECONDS)):  # the first warm up
            taken_at_client.clear()
            size = log.stat().st_size
            start = time.perf_counter()
            asked = []
            for number, q in enumerate(questions):
                await asyncio.sleep(max(start + number / _RATE - time.perf_counter(), 0))
                asked.append(asyncio.create_task(ask(q)))
            await asyncio.gather(*asked)
    inside = _inside(log, size, "/v1/search")[-len(taken_at_client) :]  # before them, what was still being written of the warm-up
    assert len(inside) == len(taken_at_client), (len(inside), len(taken_at_client))
    work = f"search over {len(taken):,} resources, {_RATE} requests/s"
    return [
        Row("catalog_search_p99_ms", f"{work}, in the service", _percentile(inside, 0.99), "ms", "<= 10"),
        Row("catalog_search_p50_ms", f"{work}, in the service", _percentile(inside, 0.5), "ms"),
        Row("catalog_search_client_p99_ms", f"{work}, at the client", _percentile(taken_at_client, 0.99), "ms"),
    ]


def _inside(log: Path, begin: int, route: str) -> list[float]:
    """Return the milliseconds of every request of a route that the access log tells of from a place on."""
    with log.open("rb") as lines:
        lines.seek(begin)
        told = [json.loads(line) for line in lines if b'"http.answered"' in line]
    return [float(one["ms"]) for one in told if one["route"] == route]


def _ledger(flow: Flow) -> Row:
    """Ask for the whole ledger, one request after another, as its reader does; in the service."""
    log = flow.mesh.log("catalog-svc")
    size = log.stat().st_size
    for _ in range(_LEDGERS):
        flow.node.authority.call("GET", f"{flow.node.profile.catalog}/v1/ledger")
    taken = _inside(log, size, "/v1/ledger")
    work = f"the ledger of a city's catalogue by department and level, {len(taken)} times"
    return Row("catalog_ledger_p99_ms", work, _percentile(taken, 0.99), "ms", "<= 100")


def _neighbour(flow: Flow, clients: dict[str, Client]) -> Row:
    """Publish resources one at a time and return how soon exchange-svc has each in its table, counted from the answer."""
    publisher = catalog_t5.publishers()[0]
    client = clients[publisher.uscc]
    entries = [entry for owner, entry in catalog_t5.resources() if owner == publisher]
    url = f"{client.profile.catalog}/v1/resources/import"
    taken = []

    async def measure() -> None:
        connection = await asyncpg.connect(flow.mesh.database_url("exchange_svc").replace("+asyncpg", ""))
        for number in range(_NEIGHBOUR_RESOURCES):
            entry = entries[number % len(entries)]
            line = entry | {"name": f"{entry['name']}之{number + 1}", "assessments": catalog_t5.ASSESSMENTS}
            options: dict[str, Any] = {"params": {"until": "published"}, "headers": {"Content-Type": "application/x-ndjson"}}
            answer = await asyncio.to_thread(client.call, "POST", url, content=json.dumps(line).encode(), **options)
            begun = time.perf_counter()
            (told,) = answer.json()["rows"]
            assert told["outcome"] == "entered", told
            while not await connection.fetchval("SELECT EXISTS (SELECT FROM resource WHERE resource_id = $1)", told["resource_id"]):
                assert time.perf_counter() - begun < 60
                await asyncio.sleep(0.001)
            taken.append((time.perf_counter() - begun) * 1000)
        await connection.close()

    asyncio.run(measure())
    work = f"a resource's publication to a neighbour's table, {_NEIGHBOUR_RESOURCES} one at a time"
    return Row("catalog_event_to_neighbour_p99_ms", work, _percentile(taken, 0.99), "ms", "<= 200")


def _percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(math.ceil(part * len(ordered)) - 1, len(ordered) - 1)]
