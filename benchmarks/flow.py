"""Figures of the whole mesh: throughput, latency, memory, flatness; five services, PostgreSQL, broker and client on one machine."""

import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psutil
from aiokafka import AIOKafkaConsumer

from benchmarks import data
from benchmarks.report import Row
from dxmesh_local.mesh import Mesh
from dxmesh_local.ports import Ports
from dxmesh_runtime import broker
from tests.e2e.node import Node, until

SERVICES = ("catalog-svc", "exchange-svc", "quality-svc", "open-data-svc", "audit-svc")
_SMALL_ROWS = 10


class Flow:
    """A mesh with a provider, a requester, and one resource that the requester may read."""

    def __init__(self, mesh: Mesh, folder: Path) -> None:
        self.mesh, self.folder = mesh, folder
        self.node = Node(mesh)
        self.provider = self.node.department("甲局")
        self.requester = self.node.department("乙局")
        self._start = 0

    def resource(self, name: str) -> tuple[UUID, str]:
        """Publish a resource of the benchmark's items, granted to the requester; return it and its topic."""
        resource_id = self.node.resource(self.provider, name, data.ITEMS, key=["id"], open_type="CLOSED")
        return resource_id, self.node.grant(self.requester, resource_id).topic

    def files(self, count: int, rows: int) -> list[Path]:
        """Write files of distinct rows."""
        found = []
        for _ in range(count):
            found.append(data.csv_file(self.folder, rows, self._start))
            self._start += rows
        return found

    def cpu_by_part(self) -> dict[str, float]:
        """Return the processor time that each service, the broker and PostgreSQL have used so far."""
        found: dict[str, float] = {}
        for name in (*SERVICES, "kafka", "postgres"):
            process = psutil.Process(self.mesh.pids[name])
            for one in (process, *process.children(recursive=True)):
                times = one.cpu_times()
                ended = times.children_user + times.children_system if name == "postgres" else 0
                found[name] = found.get(name, 0.0) + times.user + times.system + ended
        return found

    def cpu_seconds(self) -> float:
        """Return the processor time that all of them have used so far."""
        return sum(self.cpu_by_part().values())

    def delivered(self) -> int:
        """Return how many rows the ledger has as delivered: audited."""
        return int(self.node.ledger()["delivered"])

    def push_through(self, resource_id: UUID, files: list[Path], rows: int, *, senders: int = 2) -> float:
        """Push files and return the seconds until every row is on the topic and audited."""
        before = self.delivered()
        begun = time.perf_counter()
        with ThreadPoolExecutor(senders) as pool:
            list(pool.map(lambda file: self.provider.client.push(resource_id, file), files))
        until(lambda: self.delivered() >= before + rows, 300, f"{rows} rows are not delivered and audited")
        return time.perf_counter() - begun


def receipt_ratio(flow: Flow) -> list[Row]:
    """Push to durable, signed receipt against HTTP → Kafka passthrough of the same body, in turn."""
    rows, rounds = 300_000, 3
    resource_id, _ = flow.resource("收据")
    port = Ports.free().catalog
    topic = "passthrough"
    asyncio.run(broker.ensure_topics(flow.mesh.kafka, [topic]))
    arguments = [sys.executable, "-m", "benchmarks.passthrough", str(port), topic]
    server = subprocess.Popen(arguments, env={**os.environ, "PASSTHROUGH_KAFKA": flow.mesh.kafka.model_dump_json()})
    ratios, ours, theirs = [], [], []
    try:
        until(lambda: _listening(port), 20, "the passthrough does not listen")
        for _ in range(rounds):
            (file,) = flow.files(1, rows)
            body = file.read_bytes()
            begun = time.perf_counter()
            httpx.put(f"http://127.0.0.1:{port}/", content=body, timeout=120).raise_for_status()
            passthrough = rows / (time.perf_counter() - begun)
            begun = time.perf_counter()
            batch, _ = flow.provider.client.push(resource_id, file)
            push = rows / (time.perf_counter() - begun)
            flow.provider.client.wait(batch.batch_id, seconds=120)
            flow.node.balanced_ledger(120)
            ratios.append(push / passthrough)
            ours.append(push)
            theirs.append(passthrough)
    finally:
        server.terminate()
        server.wait(10)
    return [
        Row("push_receipt_ratio", "push to durable receipt / HTTP to Kafka passthrough", statistics.median(ratios), "ratio", ">= 0.4"),
        Row("push_receipt_rows_per_second", "push to durable receipt, 300,000 rows of CSV", statistics.median(ours), "rows/s"),
        Row("passthrough_rows_per_second", "HTTP to Kafka, a record a line, nothing else", statistics.median(theirs), "rows/s"),
    ]


def _listening(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
    except httpx.TransportError:
        return False
    return True


def throughput(flow: Flow) -> list[Row]:
    """Push → rules → a record per row → audited, for batches of 10 k to 3 M rows; the same rows per size where that is possible."""
    found: list[Row] = []
    costs: dict[int, float] = {}
    rates: dict[int, float] = {}
    for size, count in ((100_000, 3), (10_000, 100), (100_000, 10), (1_000_000, 1), (3_000_000, 1)):
        resource_id, _ = flow.resource(f"吞吐{size}-{count}")
        files = flow.files(count, size)
        cpu = flow.cpu_seconds()
        seconds = flow.push_through(resource_id, files, size * count)
        for file in files:
            file.unlink()
        used = flow.cpu_seconds() - cpu
        if count == 3:
            continue  # warm-up
        costs[size], rates[size] = used / (size * count) * 1e6, size * count / seconds
        print(f"  batches of {size:>9,}: {rates[size]:>9,.0f} rows/s, {costs[size]:.2f} µs of CPU a row")
        flow.node.balanced_ledger(180)
    middle = statistics.mean(costs.values())
    flatness = max(abs(cost / middle - 1) for cost in costs.values()) * 100
    work = f"push, {data.RULES} rules, a record per row, audited; batches of 100,000"
    found.append(Row("mesh_rows_per_second", work, rates[100_000], "rows/s", ">= 200000"))
    for size, rate in rates.items():
        found.append(Row(f"mesh_rows_per_second_{size}", f"the same, batches of {size:,}", rate, "rows/s"))
    found.append(
        Row("cost_flatness_percent", "CPU per row, 10 k to 3 M rows a batch: greatest distance from the mean", flatness, "%", "<= 15")
    )
    for size, cost in costs.items():
        found.append(Row(f"cpu_microseconds_per_row_{size}", f"services, broker, PostgreSQL; batches of {size:,}", cost, "µs"))
    return found


def latency(flow: Flow) -> list[Row]:
    """One small push to its visible record at 50 pushes a second; then the rate from which the mesh no longer keeps up."""
    resource_id, topic = flow.resource("时延")
    asyncio.run(_latencies(flow, resource_id, topic, 20, 3.0))  # warm-up
    seconds = asyncio.run(_latencies(flow, resource_id, topic, 50, 15.0))
    p50, p99 = _percentile(seconds, 0.5) * 1000, _percentile(seconds, 0.99) * 1000
    found = [
        Row("small_push_p50_ms", f"a push of {_SMALL_ROWS} rows to its visible record, 50 pushes/s", p50, "ms", "<= 50"),
        Row("small_push_p99_ms", f"a push of {_SMALL_ROWS} rows to its visible record, 50 pushes/s", p99, "ms", "<= 250"),
    ]
    saturated = 0.0
    for rate in (5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200):
        taken = asyncio.run(_latencies(flow, resource_id, topic, rate, 5.0))
        worst = _percentile(taken, 0.99)
        print(f"  {rate} pushes/s: p50 {_percentile(taken, 0.5) * 1000:.0f} ms, p99 {worst * 1000:.0f} ms")
        if worst > 1.0:
            break
        saturated = rate
    found.append(Row("small_push_saturation", "the highest rate tried at which p99 stays below 1 s", saturated, "pushes/s"))
    return found


def _percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(math.ceil(part * len(ordered)) - 1, len(ordered) - 1)]


async def _latencies(flow: Flow, resource_id: UUID, topic: str, rate: int, seconds: float) -> list[float]:
    """Push at a steady rate (open loop) and return, for each push, the time until its last record was read."""
    count = int(rate * seconds)
    begun: dict[str, float] = {}
    ended: dict[str, float] = {}
    rows: dict[str, int] = {}
    bodies = [data.frame(_SMALL_ROWS, 5_000_000_000 + i * _SMALL_ROWS).write_csv().encode() for i in range(count)]
    consumer = AIOKafkaConsumer(
        topic, **broker.options(flow.mesh.kafka), isolation_level="read_committed", auto_offset_reset="latest",
        fetch_max_wait_ms=50,
    )  # fmt: skip
    await consumer.start()
    for place in consumer.assignment():
        await consumer.position(place)
    client = flow.provider.client
    url = f"{client.profile.exchange}/v1/resources/{resource_id}/batches"
    headers = {"Authorization": f"Bearer {client.token()}", "Content-Type": "text/csv"}

    async def read() -> None:
        while len(ended) < count:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                now = time.perf_counter()
                for record in records:
                    batch = dict(record.headers)["batch"].decode()
                    rows[batch] = rows.get(batch, 0) + 1
                    if rows[batch] == _SMALL_ROWS:
                        ended[batch] = now

    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)) as http:

        async def push(body: bytes) -> None:
            batch_id = str(uuid4())
            begun[batch_id] = time.perf_counter()
            (await http.put(f"{url}/{batch_id}", content=body, headers=headers)).raise_for_status()

        reader = asyncio.create_task(read())
        start = time.perf_counter()
        pushes = []
        for number, body in enumerate(bodies):
            await asyncio.sleep(max(start + number / rate - time.perf_counter(), 0))
            pushes.append(asyncio.create_task(push(body)))
        await asyncio.gather(*pushes)
        await asyncio.wait_for(reader, 120)
    await consumer.stop()
    return [ended[batch] - begun[batch] for batch in ended if batch in begun]


@contextmanager
def running() -> Iterator[Flow]:
    """Start a mesh of its own and yield it with its departments."""
    with tempfile.TemporaryDirectory(prefix="dxmesh-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        with Mesh(folder / "home", say=print) as mesh:
            yield Flow(mesh, folder)


def idle_memory(flow: Flow) -> list[Row]:
    """Resident memory of the five services, started and at rest."""
    parts = {name: psutil.Process(flow.mesh.pids[name]).memory_info().rss / 1e6 for name in SERVICES}
    print("  " + json.dumps({name: round(value) for name, value in parts.items()}))
    return [Row("idle_memory_mb", "five services together, resident, at rest after start", sum(parts.values()), "MB", "<= 1200")]
