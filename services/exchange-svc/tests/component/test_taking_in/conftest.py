"""A link as departments have them: slow, and cut in the middle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from dxmesh_runtime.testing import listening

_PIECE_BYTES = 16 * 1024


class Link:
    """A TCP proxy on 127.0.0.1 that lets through so many bytes a second, and cuts where it is told to."""

    def __init__(self, target: str, bytes_per_second: float) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname, parts.port
        self._bytes_per_second = bytes_per_second
        self.cuts: list[int] = []  # the next connection is cut after so many bytes towards the service, and so on
        self.holds: list[int] = []  # or nothing goes on after so many, until either end lets go
        self.connections = 0
        self.url = ""

    def retarget(self, target: str) -> None:
        """Lead to another address from now on."""
        self._port = urlsplit(target).port

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None, *, hold: bool = False) -> None:
        loop = asyncio.get_running_loop()
        begun, carried = loop.time(), 0
        while piece := await source.read(_PIECE_BYTES if most is None else min(_PIECE_BYTES, most - carried)):
            sink.write(piece)
            await sink.drain()
            carried += len(piece)
            if most is not None and carried >= most:
                if hold:
                    await asyncio.Event().wait()
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
            yield self


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
