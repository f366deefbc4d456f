"""Under load, every part is killed in turn, the relay is stopped, and the broker is emptied: nothing is lost, nothing doubled."""

import asyncio
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from dxmesh_client.client import Client
from dxmesh_client.models import Batch, Grant
from dxmesh_client.receipt import verify
from dxmesh_local.mesh import Mesh
from dxmesh_runtime.relay import LOCK
from tests.e2e.node import Node, Seen, csv_of, read_topic, until

pytestmark = [pytest.mark.faults, pytest.mark.long]
ROWS = 200
ITEMS = [
    {"code": "id", "name": "编号", "data_type": "C", "required": True, "length": 20},
    {"code": "name", "name": "名称", "data_type": "C", "required": True, "length": 50},
    {"code": "count", "name": "数量", "data_type": "I", "required": True, "minimum": 0},
]


class Pusher(threading.Thread):
    """Pushes one batch behind the other until told to stop; a push that failed is sent again under the same id."""

    def __init__(self, client: Client, resource_id: UUID, folder: Path) -> None:
        super().__init__(name="pusher")
        self._client, self._resource_id, self._folder = client, resource_id, folder
        self._stop_asked = threading.Event()
        self.sent: list[Batch] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                number = len(self.sent)
                rows = ({"id": f"{number}-{i}", "name": f"第{number}批第{i}行", "count": i} for i in range(ROWS))
                file = csv_of(rows, self._folder / f"{number}.csv")
                batch, _ = self._client.push(self._resource_id, file, batch_id=uuid4())
                self.sent.append(batch)
        except BaseException as failure:
            self.failure = failure
            raise

    def stop(self) -> list[Batch]:
        self._stop_asked.set()
        self.join(120)
        assert not self.is_alive(), "a push hangs"
        assert self.failure is None, self.failure
        return self.sent

    def more(self, count: int, seconds: float = 90) -> None:
        """Wait until so many more batches were acknowledged: the mesh takes work again."""
        wanted = len(self.sent) + count
        until(lambda: len(self.sent) >= wanted or self.failure, seconds, f"{count} more pushes were not acknowledged")
        assert self.failure is None, self.failure


@pytest.fixture
def hurt() -> Iterator[tuple[Mesh, Node]]:
    with tempfile.TemporaryDirectory(prefix="dxmesh-faults-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with Mesh(Path(folder) / "home", say=print) as mesh:
            node = Node(mesh, patience_seconds=120)
            yield mesh, node
            node.close()


async def _stop_relay(mesh: Mesh, pusher: Pusher) -> None:
    """Take the exchange relay's lock, so commits pile up unpublished; kill the service in that state; then let go."""
    connection = await asyncpg.connect(mesh.database_url("exchange_svc").replace("+asyncpg", ""))
    try:
        waiting = asyncio.create_task(connection.execute("SELECT pg_advisory_lock($1)", LOCK))
        other = await asyncpg.connect(mesh.database_url("exchange_svc").replace("+asyncpg", ""))
        ours = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = $1"
        pid = connection.get_server_pid()
        while not waiting.done() and not await other.fetchval(ours, pid):
            await asyncio.sleep(0.02)
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> $1"
            " AND (classid::bigint << 32) | objid::bigint = $2",
            pid,
            LOCK,
        )
        await asyncio.wait_for(waiting, 30)
        await asyncio.to_thread(pusher.more, 3)
        assert await other.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL") >= 3, "the relay was not stopped"
        mesh.kill("exchange-svc")
        await other.close()
    finally:
        await connection.close()


def _all_decided(provider: Client, sent: list[Batch]) -> list[Batch]:
    return [provider.wait(batch.batch_id, seconds=120) for batch in sent]


def _rows_of(seen: list[Seen]) -> Counter[tuple[str, int]]:
    return Counter((item.batch, item.row) for item in seen)


def _check_proofs(node: Node, provider: Client, decided: list[Batch]) -> None:
    key = provider.log_key()
    for batch in decided:
        receipt = provider.receipt(batch.event_id, seconds=60)
        assert str(verify(receipt, key).event_id) == str(batch.event_id)
    ledger = node.balanced_ledger(90)
    assert ledger["received"] == ledger["accepted"] == sum(batch.received_count for batch in decided)
    assert ledger["delivered"] == ledger["accepted"]


def test_nothing_is_lost_and_nothing_doubled_whatever_is_killed(hurt: tuple[Mesh, Node], tmp_path: Path) -> None:
    mesh, node = hurt
    provider, requester = node.department("甲局"), node.department("乙局")
    resource_id = node.resource(provider, "台账", ITEMS, key=["id"])
    grant: Grant = node.grant(requester, resource_id)
    topic = grant.topic
    pusher = Pusher(provider.client, resource_id, tmp_path)
    pusher.start()
    pusher.more(5)
    for part in ("catalog-svc", "exchange-svc", "quality-svc", "open-data-svc", "audit-svc", "kafka", "postgres"):
        begun = time.monotonic()
        mesh.kill(part)
        pusher.more(3)
        until(lambda: not mesh._missing(), 90, f"the mesh is not whole after kill -9 of {part}")
        print(f"{part}: killed, and the mesh whole again after {time.monotonic() - begun:.1f} s")
    asyncio.run(_stop_relay(mesh, pusher))
    pusher.more(3)
    sent = pusher.stop()

    decided = _all_decided(provider.client, sent)
    assert {batch.state for batch in decided} == {"accepted"}
    expected = {(str(batch.batch_id), row) for batch in decided for row in range(1, ROWS + 1)}
    seen = _rows_of(read_topic(mesh.kafka, topic, len(expected), seconds=120))
    assert set(seen) == expected
    assert {place: count for place, count in seen.items() if count > 1} == {}, "a row was seen more than once"
    _check_proofs(node, provider.client, decided)

    again = Pusher(provider.client, resource_id, tmp_path)
    again.start()
    again.more(2)
    mesh.empty_kafka()
    again.more(5, seconds=150)
    decided += _all_decided(provider.client, again.stop())
    expected = {(str(batch.batch_id), row) for batch in decided for row in range(1, ROWS + 1)}

    def whole_again() -> set[tuple[str, int]] | None:
        found = set(_rows_of(read_topic(mesh.kafka, topic, 1, seconds=120)))
        return found if found >= expected else None

    assert until(whole_again, 180, "the emptied broker's topic is not whole") == expected
    _check_proofs(node, provider.client, decided)
    print(f"{len(decided)} batches, {len(expected)} rows; restarts {mesh.restarts}")
