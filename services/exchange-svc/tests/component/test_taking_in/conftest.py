"""A link as departments have them: slow, and cut in the middle; and a department's machine at its end."""

import asyncio
import io
import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import polars as pl
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from dxmesh_client.agent import run as running
from dxmesh_client.agent.config import load
from dxmesh_client.client import Client
from dxmesh_client.config import Profile
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import listening
from dxmesh_schemas.exchange import BatchReceived

_PIECE_BYTES = 16 * 1024


class Link:
    """A TCP proxy on 127.0.0.1 that lets through so many bytes a second, and cuts where it is told to."""

    def __init__(self, target: str, bytes_per_second: float) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname, parts.port
        self._bytes_per_second = bytes_per_second
        self.cuts: list[int] = []  # the next connection is cut after so many bytes towards the service, and so on
        self.holds: list[int] = []  # or nothing goes on after so many, until either end lets go
        self.connections = self.holding = 0
        self.offsets: list[int] = []  # of parts of uploads, as they are sent
        self.target = target
        self._released = asyncio.Event()
        self.url = ""

    def retarget(self, target: str) -> None:
        """Lead to another address from now on."""
        self.target = target
        self._port = urlsplit(target).port

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None, *, hold: bool = False) -> None:
        loop = asyncio.get_running_loop()
        begun, carried = loop.time(), 0
        while piece := await source.read(_PIECE_BYTES if most is None else min(_PIECE_BYTES, most - carried)):
            sink.write(piece)
            await sink.drain()
            carried += len(piece)
            self.offsets += map(int, re.findall(rb"\r\nUpload-Offset: (\d+)\r\n", piece))
            if most is not None and carried >= most:
                if hold:
                    self.holding += 1
                    await self._released.wait()
                return
            if (ahead := begun + carried / self._bytes_per_second - loop.time()) > 0:
                await asyncio.sleep(ahead)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        hold = bool(self.holds)
        most = self.holds.pop(0) if hold else self.cuts.pop(0) if self.cuts else None
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            writers.append(far_writer)
            there = asyncio.create_task(self._carry(reader, far_writer, most, hold=hold))
            ways = {there, asyncio.create_task(self._carry(far_reader, writer, None))}
            _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in left:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the service is away: whoever called sees the connection end
        finally:
            for one in writers:
                one.transport.abort()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Link"]:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            try:
                yield self
            finally:
                self._released.set()


@pytest.fixture
async def nowhere() -> AsyncIterator[Link]:
    """Yield a link that leads nowhere yet."""
    async with Link("http://127.0.0.1:1", 50e6 / 8).open() as found:
        yield found


@pytest.fixture
async def link(exchange: Any) -> AsyncIterator[Link]:
    """Yield a link of 50 Mbit/s to the service."""
    async with listening(exchange.app) as url, Link(url, 50e6 / 8).open() as found:
        yield found


@dataclass
class Department:
    """A department's machine: a profile that leads over a link to the node, and an agent that runs there."""

    exchange: Any
    link: Link
    folder: Path
    profile: Profile

    def write(self, job: str, **agent: object) -> Path:
        """Write a configuration with one job."""
        known = {"name": "front-1", "wait_seconds": 0, **agent}
        lines = ["[agent]", *(f"{name} = {json.dumps(value)}" for name, value in known.items()), "[[job]]", job]
        path = self.folder / "agent.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    async def once(self, config: Path) -> bool:
        """Run the agent until nothing is left."""
        connect = partial(Client, self.profile, patience_seconds=0.2)
        return await asyncio.to_thread(running.run, load(config), once=True, stop=threading.Event(), connect=connect)

    async def batches(self) -> list[tuple[str, list[str]]]:
        """Return kind and codes of every batch the node took in, in its order."""
        found = []
        for event in await self.exchange.outbox():
            if isinstance(event, BatchReceived):
                rows = pl.read_parquet(io.BytesIO(self.exchange.objects.get_bytes(event.rows.key)))
                found.append((event.kind.value, rows["code"].to_list()))
        return found


@pytest.fixture
async def department(exchange: Any, link: Link, tmp_path: Path) -> AsyncIterator[Department]:
    """Yield a department whose agent knows the node and its issuer."""
    issuer = FastAPI()

    @issuer.post("/oauth/token")
    async def issue() -> dict[str, Any]:
        return {"access_token": exchange.tokens.token(exchange.provider.organization_id, "steward"), "expires_in": 600}

    folder = tmp_path / "department"
    folder.mkdir()
    async with listening(issuer) as url:
        names = ("catalog", "quality", "open_data", "audit")
        profile = Profile(**dict.fromkeys(names, url), exchange=link.url, client_id="front-1", client_secret="x")
        (folder / "profile.json").write_text(profile.model_dump_json())
        yield Department(exchange, link, folder, profile)


@dataclass
class Node:
    """A node as a department's machine sees it: it says what it is told to say."""

    folder: Path
    profile: Profile
    bodies: list[bytes] = field(default_factory=list)
    batches: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    on_batch: Callable[[], object] = lambda: None
    refusal: tuple[int, dict[str, Any]] | None = None

    @property
    def outbox(self) -> Path:
        """Return a folder for files."""
        return self.folder / "outbox"

    def write(self, job: str) -> Path:
        """Write a configuration with one job."""
        path = self.folder / "agent.toml"
        path.write_text('[agent]\nname = "front-1"\nwait_seconds = 0\nresumable_bytes = 1000\n[[job]]\n' + job)
        return path

    async def once(self, job: str) -> bool:
        """Run the agent until nothing is left."""
        connect = partial(Client, self.profile, patience_seconds=0)
        return await asyncio.to_thread(running.run, load(self.write(job)), once=True, stop=threading.Event(), connect=connect)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Yield a node that takes every batch in, or refuses it."""
    service = FastAPI()

    @service.post("/oauth/token")
    async def issue() -> dict[str, Any]:
        return {"access_token": f"token-{len(found.tokens)}", "expires_in": 600}

    @service.put("/v1/resources/{resource_id}/batches/{batch_id}")
    async def take(resource_id: UUID, batch_id: UUID, request: Request) -> Response:
        found.bodies.append(await request.body())
        found.tokens.append(request.headers["Authorization"])
        if found.refusal is not None:
            status, body = found.refusal
            return JSONResponse(body, status_code=status)
        found.on_batch()
        told = {"batch_id": str(batch_id), "resource_id": str(resource_id), "event_id": str(batch_id), "received_at": utc_now().isoformat()}
        counts = {"resource_version": 1, "body_byte_count": 1, "received_count": 2, "refused_row_count": 0}
        found.batches[batch_id] = told | counts | {"kind": "upsert", "state": "received", "body_sha256": "", "acknowledgement": ""}
        return JSONResponse(found.batches[batch_id], status_code=201)

    @service.get("/v1/batches/{batch_id}")
    async def look(batch_id: UUID) -> Response:
        known = found.batches.get(batch_id)
        return JSONResponse(known or {"title": "There is no such batch", "status": 404}, status_code=200 if known else 404)

    @service.put("/v1/channels/{channel_id}/report")
    async def report(channel_id: str, request: Request) -> dict[str, str]:
        found.reports.append(await request.json())
        return {"channel_id": channel_id}

    @service.post("/v1/uploads")
    async def create() -> Response:
        return Response(status_code=201)  # and does not say where

    async with listening(service) as url:
        names = ("catalog", "exchange", "quality", "open_data", "audit")
        found = Node(tmp_path, Profile(**dict.fromkeys(names, url), client_id="front-1", client_secret="x"))
        yield found
