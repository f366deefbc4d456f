"""A city's peak held for ten minutes: 473 resources take 34,722 rows a second, each shared by five grants; lag and loss are counted.

`make bench-load` measures it in about 14 minutes and writes benchmarks/load.json. The peak is ten times the mean of 300 million rows a
day. Resources push in turn, at a steady pace whatever the mesh does (open loop); client, five services, PostgreSQL and broker share one
machine. Of each resource four grants share a view of all items; the fifth shares it as well, and for every fourth resource it has a
filter, and so a view and a topic of its own.
"""

import argparse
import asyncio
import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psutil
from aiokafka import AIOKafkaConsumer

from benchmarks import data
from benchmarks.flow import SERVICES, Flow, running
from benchmarks.report import Row, machine, write
from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings
from tests.e2e.node import until

RESULT = Path(__file__).with_name("load.json")
RESOURCES, SECONDS, BATCH_ROWS = 473, 600, 10_000
ROWS_PER_SECOND = 34_722
GRANTS = 5
_FILTERED_EVERY = 4
_FILTER = {"where": [{"item": "division", "op": "eq", "value": "330600"}]}  # one row in seven
_WATCHED = 20
_WARM_UP_SECONDS = 30
_MOST_UNDER_WAY = 64
_SETTLE_SECONDS = 300
_MOST_LAG_SECONDS = 5
_numbers = itertools.count()


@dataclass
class Push:
    """One batch of the load: of which resource, when it was due and when its receipt was there, both in seconds since the epoch."""

    resource: int
    batch_id: UUID = field(default_factory=uuid4)
    due: float = 0.0
    received: float = 0.0


def main() -> int:
    """Set a city up, load it, count what became of every row; return 0 also when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--resources", type=int, default=RESOURCES)
    parser.add_argument("--batch-rows", type=int, default=BATCH_ROWS)
    chosen = parser.parse_args()
    print(f"machine: {machine()}")
    with running() as flow:
        city = _City.built(flow, chosen.resources)
        city.warm_up(chosen.batch_rows)
        rows = city.loaded(chosen.seconds, chosen.batch_rows)
    for row in rows:
        print(row.line())
    if (chosen.seconds, chosen.resources) == (SECONDS, RESOURCES):
        write(rows, RESULT)
        print(f"written to {RESULT.name}")
    return 0


class _Watch:
    """A plain Kafka consumer of some views: of each batch how many records came, and when the last one did."""

    def __init__(self, kafka: KafkaSettings, topics: Sequence[str]) -> None:
        self._kafka = kafka
        self._topics = topics
        self.rows: Counter[str] = Counter()
        self.last: dict[str, float] = {}

    @asynccontextmanager
    async def reading(self, expected: int) -> AsyncIterator[None]:
        """Read beside what is done within, and after it until as many records as expected came, or too long."""
        options = broker.options(self._kafka) | {"isolation_level": "read_committed", "auto_offset_reset": "latest"}
        async with AIOKafkaConsumer(*self._topics, **options) as consumer:
            for place in consumer.assignment():
                await consumer.position(place)
            reader = asyncio.create_task(self._read(consumer, expected))
            yield
            await asyncio.wait([reader], timeout=_SETTLE_SECONDS)
            reader.cancel()

    async def _read(self, consumer: AIOKafkaConsumer, expected: int) -> None:
        while self.rows.total() < expected:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                now = time.time()
                for record in records:
                    batch = record.headers[0][1].decode()
                    self.rows[batch] += 1
                    self.last[batch] = now


@dataclass(frozen=True)
class _City:
    flow: Flow
    resources: Sequence[UUID]
    topics: Sequence[str]  # of each resource the view of all items
    view_count: int

    @classmethod
    def built(cls, flow: Flow, count: int) -> "_City":
        """Publish the resources and have each granted five times."""
        begun = time.perf_counter()
        requesters = [flow.node.department(f"用数{number}局") for number in range(GRANTS)]

        def one(number: int) -> tuple[UUID, list[str]]:
            resource_id = flow.node.resource(flow.provider, f"类目{number + 1}", data.ITEMS, key=["id"], open_type="CLOSED")
            terms = [_FILTER if place == GRANTS - 1 and number % _FILTERED_EVERY == 0 else {} for place in range(GRANTS)]
            granted = zip(requesters, terms, strict=True)
            return resource_id, [flow.node.grant(requester, resource_id, terms=those).topic for requester, those in granted]

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(one, range(count)))
        views = sum(len(set(topics)) for _, topics in made)
        print(f"  {count} resources, {count * GRANTS:,} grants, {views} views in {time.perf_counter() - begun:.0f} s")
        return cls(flow, [resource_id for resource_id, _ in made], [topics[0] for _, topics in made], views)

    def warm_up(self, batch_rows: int) -> None:
        """Load for some seconds, so that what is compiled and cached on the way is, and wait until all of it is delivered."""
        pushes = self._schedule(_WARM_UP_SECONDS, batch_rows)
        asyncio.run(self._push(pushes, batch_rows))
        ledger = self.flow.node.balanced_ledger(_SETTLE_SECONDS)
        assert ledger["accepted"] == len(pushes) * batch_rows, f"rows of the load are not good ones: {ledger}"

    def loaded(self, seconds: int, batch_rows: int) -> list[Row]:
        """Load the city and return the figures."""
        before, cpu, begun = self.flow.node.ledger(), _processors(self.flow), time.time()
        pushes = self._schedule(seconds, batch_rows)
        watch = _Watch(self.flow.mesh.kafka, self.topics[:_WATCHED])
        watched = [push for push in pushes if push.resource < _WATCHED]
        asyncio.run(self._push_beside(watch, pushes, batch_rows, len(watched) * batch_rows))
        took = max(push.received for push in pushes) - begun
        used = {name: (seconds_used - cpu[name]) / (time.time() - begun) for name, seconds_used in _processors(self.flow).items()}
        print("  processor use, of one core: " + ", ".join(f"{name} {value:.0%}" for name, value in used.items()))
        memory = {name: psutil.Process(self.flow.mesh.pids[name]).memory_info().rss / 1e6 for name in (*SERVICES, "kafka")}
        print("  resident MB: " + ", ".join(f"{name} {value:,.0f}" for name, value in memory.items()))
        rows = len(pushes) * batch_rows
        until(lambda: self.flow.node.ledger()["received"] - before["received"] >= rows, _SETTLE_SECONDS, "the ledger lacks batches")
        after = self.flow.node.balanced_ledger(_SETTLE_SECONDS)
        now = {name: after[name] - before[name] for name in ("accepted", "ordered", "delivered", "filtered")}
        missing = rows - now["accepted"] + now["ordered"] - now["delivered"] - now["filtered"]
        wrong = sum(abs(watch.rows[str(push.batch_id)] - batch_rows) for push in watched)
        by_moment = self._lags(pushes)
        _tell_longest(by_moment, begun)
        lags = sorted(by_moment.values())
        visible = sorted(watch.last[str(push.batch_id)] - push.due for push in watched if str(push.batch_id) in watch.last)
        receipts = sorted(push.received - push.due for push in pushes)
        work = (
            f"{len(self.resources)} resources, {self.view_count} views, {len(self.resources) * GRANTS:,} grants, "
            f"{ROWS_PER_SECOND:,} rows/s in batches of {batch_rows:,} for {seconds} s"
        )
        return [
            Row("load_rows_per_second", work, rows / took, "rows/s", f">= {ROWS_PER_SECOND * 0.99:.0f}"),
            Row("load_rows_missing", f"of {now['ordered']:,} rows for views, by the ledger in the end", missing, "rows", "<= 0"),
            Row(
                "load_rows_wrong",
                f"lost or doubled for a Kafka consumer of {_WATCHED} views, {watch.rows.total():,} read",
                wrong,
                "rows",
                "<= 0",
            ),
            Row("load_lag_p50_s", "from when a push was due to its delivery to a view", _part(lags, 0.5), "s"),
            Row("load_lag_p99_s", "the same, p99", _part(lags, 0.99), "s"),
            Row("load_lag_max_s", "the same, the longest", lags[-1], "s", f"<= {_MOST_LAG_SECONDS}"),
            Row("load_visible_p99_s", "from when a push was due to its last record read by that consumer, p99", _part(visible, 0.99), "s"),
            Row("load_visible_max_s", "the same, the longest", visible[-1], "s", f"<= {_MOST_LAG_SECONDS}"),
            Row("load_receipt_p99_s", "from when a push was due to its receipt, p99", _part(receipts, 0.99), "s"),
            Row("load_processors", "used by services, broker, PostgreSQL and client", sum(used.values()), "cores"),
        ]

    def _schedule(self, seconds: int, batch_rows: int) -> list[Push]:
        count = math.ceil(seconds * ROWS_PER_SECOND / batch_rows)
        return [Push(number % len(self.resources), due=number * batch_rows / ROWS_PER_SECOND) for number in range(count)]

    async def _push_beside(self, watch: _Watch, pushes: Sequence[Push], batch_rows: int, expected: int) -> None:
        async with watch.reading(expected):
            await self._push(pushes, batch_rows)

    async def _push(self, pushes: Sequence[Push], batch_rows: int) -> None:
        """Push each batch when it is due, counted from now."""
        client = self.flow.provider.client
        begun = time.time()
        under_way = asyncio.Semaphore(_MOST_UNDER_WAY)
        async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=_MOST_UNDER_WAY)) as http:

            async def one(push: Push, body: bytes) -> None:
                url = f"{client.profile.exchange}/v1/resources/{self.resources[push.resource]}/batches/{push.batch_id}"
                headers = {"Authorization": f"Bearer {client.token()}", "Content-Type": "text/csv"}
                async with under_way:
                    (await http.put(url, content=body, headers=headers)).raise_for_status()
                push.received = time.time()

            sent = []
            for push in pushes:
                push.due += begun
                body = await asyncio.to_thread(_body, batch_rows)
                await asyncio.sleep(max(push.due - time.time(), 0))
                sent.append(asyncio.create_task(one(push, body)))
            await asyncio.gather(*sent)

    def _lags(self, pushes: Sequence[Push]) -> dict[tuple[float, UUID, str], float]:
        """Return, for each batch and view, the seconds from when the push was due to the delivery; by that moment, batch and topic."""
        exchange, client = self.flow.node.profile.exchange, self.flow.provider.client
        found = {}
        for push in pushes:
            for one in client.call("GET", f"{exchange}/v1/batches/{push.batch_id}/deliveries").json()["items"]:
                found[push.due, push.batch_id, one["topic"]] = datetime.fromisoformat(one["completed_at"]).timestamp() - push.due
        return found


def _tell_longest(lags: Mapping[tuple[float, UUID, str], float], begun: float) -> None:
    """Print when in the load the lags beyond the limit were, by ten seconds: one stall is another thing than a mesh that is too slow."""
    late = Counter(int(due - begun) // 10 * 10 for (due, _, _), lag in lags.items() if lag > _MOST_LAG_SECONDS)
    print(
        "  deliveries beyond the limit, by seconds since the start: "
        + (", ".join(f"{at}: {n}" for at, n in sorted(late.items())) or "none")
    )


def _body(rows: int) -> bytes:
    return data.frame(rows, next(_numbers) * rows).write_csv().encode()


def _processors(flow: Flow) -> dict[str, float]:
    """Return the processor seconds used so far, the client's with them."""
    times = psutil.Process().cpu_times()
    return flow.cpu_by_part() | {"client": times.user + times.system}


def _part(ordered: Sequence[float], part: float) -> float:
    return ordered[min(math.ceil(part * len(ordered)) - 1, len(ordered) - 1)]


if __name__ == "__main__":
    sys.exit(main())
