"""A node that delivers: the service, the delivery worker and the worker of subscriptions on a real broker, and subscribers on 127.0.0.1."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from dxmesh_local.kafka import Kafka
from dxmesh_runtime import broker, signing
from dxmesh_runtime.db import Database, connect, utc_now, uuid7
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings, ObjectStoreSettings
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import DeliveryCompleted, DispatchOrdered
from exchange_svc.delivery import consumers as deliveries
from exchange_svc.delivery.worker import run_delivery
from exchange_svc.enforcement.rows import token_keys
from exchange_svc.secrets import derived
from exchange_svc.subscription.courier import Means
from exchange_svc.subscription.settings import SubscriptionsSettings
from exchange_svc.subscription.worker import Worker
from exchange_svc.worker import COURIERS

SECONDS = 60
Answer = Callable[["Call"], Awaitable[bytes]]


@dataclass
class Call:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.body)
        return found

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


def plain(status: int, **headers: str) -> bytes:
    told = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Told\r\n{told}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()


@dataclass
class Subscriber:
    """A department's HTTP server; `answer` says what a POST is answered, a 204 unless told otherwise."""

    origin: str = "*"
    answer: Answer | None = None
    calls: list[Call] = field(default_factory=list)
    url: str = ""
    endless: bool = False

    @property
    def taken(self) -> list[Call]:
        return [call for call in self.calls if call.method == "POST"]

    @property
    def rows(self) -> list[Any]:
        """Return the data of every event that came, in order; a deletion by its subject."""
        return [event.get("data", {"deleted": event.get("subject")}) for call in self.taken for event in call.events]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head[1:] if line)}
            call = Call(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
            self.calls.append(call)
            if method == "OPTIONS":
                writer.write(plain(200, WebHook_Allowed_Origin=self.origin) if self.origin else plain(200))
            else:
                writer.write(plain(204) if self.answer is None else await self.answer(call))
            await writer.drain()
            while self.endless and method == "POST":
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


def proven(call: Call, secret: str) -> bool:
    """Say whether one of a message's signatures is this secret's, as the Standard Webhooks specification has it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return wanted in call.headers["webhook-signature"].split(" ")


async def eventually(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until a condition, plain or awaited, holds; return what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"did not hold within {seconds} s"
        await asyncio.sleep(0.02)


@dataclass
class Node:
    """What tests do with the node."""

    exchange: Any
    kafka: KafkaSettings
    database: Database
    key: bytes
    published: set[UUID] = field(default_factory=set)
    subscribers: list[asyncio.Server] = field(default_factory=list)

    def settings(self, **changes: Any) -> SubscriptionsSettings:
        usual: dict[str, Any] = {
            "allowed_networks": ("127.0.0.0/8",),
            "poll_seconds": 0.1,
            "answer_seconds": 10.0,  # so that a busy machine is not taken for a subscriber that hangs
            "first_retry_seconds": 0.01,
            "most_retry_seconds": 0.05,
        }
        return SubscriptionsSettings(**usual | changes)

    def means(self, **changes: Any) -> Means:
        return Means(self.database.sessions, self.kafka, self.settings(**changes), self.key, "330600.dxmesh")

    @contextlib.asynccontextmanager
    async def working(self, **changes: Any) -> AsyncIterator[None]:
        """Run a worker of subscriptions, as a process of the service has it."""
        task = asyncio.create_task(Worker(self.database, self.means(**changes), COURIERS).run())
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @contextlib.asynccontextmanager
    async def process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a worker of subscriptions in a process of its own, which may be killed."""
        told = json.dumps([self.exchange.url, self.kafka.bootstrap_servers, self.key.hex()])
        script = Path(__file__).parent / "worker_process.py"
        made = await asyncio.create_subprocess_exec(sys.executable, str(script), told, env=dict(os.environ))
        try:
            yield made
        finally:
            if made.returncode is None:
                made.kill()
            await made.wait()

    async def subscriber(self, **options: Any) -> Subscriber:
        found = Subscriber(**options)
        server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
        self.subscribers.append(server)
        found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rows"
        return found

    async def post(self, path: str, body: Any = None, *, by: Any = None) -> Any:
        return await self.exchange.client.post(path, json=body, headers=self.exchange.steward(by or self.exchange.requester))

    async def get(self, path: str, *, by: Any = None) -> Any:
        return await self.exchange.client.get(path, headers=self.exchange.steward(by or self.exchange.requester))

    async def subscribed(self, grant: Any, body: Any, *, by: Any = None) -> dict[str, Any]:
        answer = await self.post(f"/v1/grants/{grant['grant_id']}/subscriptions", body, by=by)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        found["path"] = f"/v1/grants/{grant['grant_id']}/subscriptions/{found['subscription_id']}"
        return found

    async def hooked(self, grant: Any, subscriber: Subscriber, *, by: Any = None, **options: Any) -> dict[str, Any]:
        return await self.subscribed(grant, {"mode": "webhook", "url": subscriber.url, **options}, by=by)

    async def seen(self, subscription: dict[str, Any], *, by: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = (await self.get(subscription["path"], by=by)).json()
        return found

    async def flow(self) -> None:
        """Bring every accepted batch to its views' topics: publish the dispatches, as the relay does, and let them be delivered."""
        events = [event for event in await self.exchange.outbox() if isinstance(event, DispatchOrdered)]
        waiting = [event for event in events if (event.batch_id, *(view.view_id for view in event.views)) not in self.published]
        wanted = {(event.batch_id, view.view_id) for event in waiting for view in event.views}
        store = ObjectStoreSettings(url=self.exchange.objects.url)
        tuned = type("Tuned", (), {"kafka": self.kafka, "object_store": store})()
        async with asyncio.timeout(SECONDS), broker.producer(self.kafka) as producer:
            for event in waiting:
                headers = Meta(uuid7(), event.TYPE, event.SOURCE, utc_now()).headers()
                await producer.send_and_wait(event.TOPIC, event.encode(), event.key.encode(), headers=headers)
            worker = asyncio.create_task(run_delivery(tuned, token_keys(b"node")))
            try:
                async with broker.consumer(self.kafka, DeliveryCompleted.TOPIC) as reader:
                    while wanted:
                        for records in (await reader.getmany(timeout_ms=100)).values():
                            for record in records:
                                done = DeliveryCompleted.decode(record.value)
                                if (done.batch_id, done.view_id) in wanted:
                                    await self.note(done)
                                    wanted.discard((done.batch_id, done.view_id))
            finally:
                worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await worker
        self.published |= {(event.batch_id, *(view.view_id for view in event.views)) for event in waiting}

    async def note(self, event: DeliveryCompleted) -> None:
        from dxmesh_runtime.testing import deliver

        await deliver(self.exchange.sessions, deliveries.HANDLERS, event)


@pytest.fixture
def broker_settings(kafka: Kafka) -> KafkaSettings:
    """Return the broker of the node; a module that needs one with users gives its own."""
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


@pytest.fixture
async def node(exchange: Any, broker_settings: KafkaSettings, tmp_path: Path) -> AsyncIterator[Node]:
    found = broker_settings
    await broker.ensure_topics(found, [DispatchOrdered.TOPIC, DeliveryCompleted.TOPIC])
    key = derived(signing.load_key(tmp_path / "node.pem"), "subscription")
    database = connect(DatabaseSettings(url=exchange.url))
    node = Node(exchange, found, database, key)
    yield node
    for server in node.subscribers:
        server.close()
    await database.close()


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
def is_proven() -> Callable[[Call, str], bool]:
    return proven


@pytest.fixture
def answered() -> Callable[..., bytes]:
    return plain
