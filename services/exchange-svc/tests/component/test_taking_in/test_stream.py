"""Streams of rows: acknowledged while they are sent, begun again where they were cut, each row taken in once."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest

from dxmesh_runtime.db import uuid7
from dxmesh_schemas.exchange import BatchReceived


def row(number: int) -> bytes:
    return json.dumps({"code": f"{number:09}", "name": f"street {number}", "people": number, "since": "2001-05-01"}).encode() + b"\n"


class Sender:
    """A department's program that sends rows and reads what is answered meanwhile."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, content: bytes) -> None:
        self._writer.write(b"%x\r\n%s\r\n" % (len(content), content))
        await self._writer.drain()

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def line(self) -> dict[str, Any] | None:
        """Return the next line of the answer; None when the connection is over."""
        try:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            content = await self._reader.readexactly(size + 2)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        found: dict[str, Any] = json.loads(content) if size else {}
        return found or None

    async def status(self) -> int:
        head = await self._reader.readuntil(b"\r\n\r\n")
        return int(head.split()[1])

    def cut(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def sending(url: str, path: str, who: dict[str, str], **query: object) -> AsyncIterator[Sender]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    target = path + "?" + "&".join(f"{name}={value}" for name, value in query.items())
    head = [f"POST {target} HTTP/1.1", "Host: x", "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked"]
    head += [f"{name}: {value}" for name, value in who.items()]
    writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
    try:
        yield Sender(reader, writer)
    finally:
        writer.transport.abort()


async def taken(exchange: Any) -> list[str]:
    """Return the codes of every row that was taken in, in the order of their batches."""
    found: list[str] = []
    for event in await exchange.outbox():
        if isinstance(event, BatchReceived):
            found += pl.read_parquet(io.BytesIO(exchange.objects.get_bytes(event.rows.key)))["code"].to_list()
    return found


def codes(numbers: Iterable[int]) -> list[str]:
    return [f"{number:09}" for number in numbers]


async def test_batches_are_acknowledged_while_the_sender_goes_on(exchange: Any, link: Any) -> None:
    resource, who, stream_id = await exchange.publish(), exchange.steward(exchange.provider), uuid7()
    path = f"/v1/resources/{resource.resource_id}/streams/{stream_id}"
    async with sending(link.url, path, who, rows=3, milliseconds=60_000, kind="upsert") as sender:
        assert await sender.status() == 200
        assert await sender.line() == {"stream_id": str(stream_id), "next_number": 1, "next_row": 0}
        await sender.send(b"".join(map(row, range(4))) + b'{"co')
        first = await sender.line()
        assert first is not None
        assert (first["number"], first["first_row"], first["row_count"], first["next_row"]) == (1, 0, 3, 3)
        await sender.send(row(4)[4:] + b"\n\n" + row(5))
        second = await sender.line()
        assert second is not None
        assert (second["number"], second["next_row"], second["batch_id"] != first["batch_id"]) == (2, 6, True)
        await sender.send(row(6).rstrip())
        await sender.end()
        third, last = await sender.line(), await sender.line()
        assert third is not None
        assert (third["row_count"], last) == (1, {"end": True, "next_number": 4, "next_row": 7})
    assert await taken(exchange) == codes(range(7))
    batch = (await exchange.client.get(f"/v1/batches/{first['batch_id']}", headers=who)).json()
    assert (batch["acknowledgement"], batch["kind"], batch["received_count"]) == (first["acknowledgement"], "upsert", 3)
    state = (await exchange.client.get(path, headers=who)).json()
    assert (state["row_count"], state["last_number"], state["last_batch_id"]) == (7, 3, third["batch_id"])
    assert (await exchange.client.get(path, headers=exchange.steward(exchange.stranger))).status_code == 404


async def test_a_row_waits_for_others_no_longer_than_it_is_told(exchange: Any, link: Any) -> None:
    resource, who = await exchange.publish(), exchange.steward(exchange.provider)
    async with sending(link.url, f"/v1/resources/{resource.resource_id}/streams/{uuid7()}", who, milliseconds=20) as sender:
        assert await sender.status() == 200
        await sender.line()
        for number in range(3):  # each is answered although nothing follows it
            await sender.send(row(number))
            line = await sender.line()
            assert line is not None
            assert (line["number"], line["row_count"], line["next_row"]) == (number + 1, 1, number + 1)


async def test_rows_are_neither_lost_nor_doubled_wherever_the_link_is_cut(exchange: Any, link: Any) -> None:
    """The link is cut after so many bytes, again and again; the sender reads what it can and begins again at what it was told last."""
    resource, who, stream_id = await exchange.publish(), exchange.steward(exchange.provider), uuid7()
    path, total = f"/v1/resources/{resource.resource_id}/streams/{stream_id}", 60
    content = [row(number) for number in range(total)]
    known, connections, ended = 0, 0, False
    while not ended:
        if connections < 25:
            link.cuts = [500 + 97 * connections]  # in the head, in the middle of rows, of chunks, after whole batches
        connections += 1
        async with sending(link.url, path, who, rows=7, milliseconds=15, from_row=known) as sender:
            try:
                assert await sender.status() == 200
                for begin in range(known, total, 5):
                    await sender.send(b"".join(content[begin : begin + 5]))
                await sender.end()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            while (line := await sender.line()) is not None:
                assert "problem" not in line, line
                known, ended = line["next_row"], line.get("end", False)
    assert connections > 10
    assert await taken(exchange) == codes(range(total))


async def test_everything_sent_again_from_the_start_is_passed_over(exchange: Any, link: Any) -> None:
    resource, who, stream_id = await exchange.publish(), exchange.steward(exchange.provider), uuid7()
    path = f"/v1/resources/{resource.resource_id}/streams/{stream_id}"
    for total in (5, 5, 8):  # a plain client that keeps no place: its whole file, each time
        answer = await exchange.client.post(
            path, content=b"".join(map(row, range(total))), headers=who | {"Content-Type": "application/x-ndjson"}
        )
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert lines[-1]["next_row"] == total
    assert await taken(exchange) == codes(range(8))
    gap = await exchange.client.post(path, params={"from_row": 9}, content=b"", headers=who | {"Content-Type": "application/x-ndjson"})
    assert (gap.status_code, gap.json()["next_row"]) == (409, 8)


async def test_a_stream_that_is_begun_again_takes_nothing_more_from_the_connection_before(exchange: Any, link: Any) -> None:
    resource, who, stream_id = await exchange.publish(), exchange.steward(exchange.provider), uuid7()
    path = f"/v1/resources/{resource.resource_id}/streams/{stream_id}"
    async with sending(link.url, path, who, rows=2, milliseconds=60_000) as old:
        assert await old.status() == 200
        await old.line()
        await old.send(row(0))
        async with sending(link.url, path, who, rows=2) as new:
            assert await new.status() == 200
            assert await new.line() == {"stream_id": str(stream_id), "next_number": 1, "next_row": 0}
            await old.send(row(1))
            refused = await old.line()
            assert refused is not None
            assert refused["problem"]["type"].endswith("stream-taken-over")
            await new.send(row(0) + row(1))
            line = await new.line()
            assert line is not None
            assert line["next_row"] == 2
    assert await taken(exchange) == codes(range(2))


async def test_a_line_that_is_no_row_is_refused_as_in_a_push_and_the_stream_goes_on(exchange: Any, link: Any) -> None:
    resource, who = await exchange.publish(), exchange.steward(exchange.provider)
    async with sending(link.url, f"/v1/resources/{resource.resource_id}/streams/{uuid7()}", who, rows=3) as sender:
        assert await sender.status() == 200
        await sender.line()
        await sender.send(row(0) + b"{broken\n" + row(2))
        line = await sender.line()
        assert line is not None
        assert (line["row_count"], line["refused_row_count"], line["next_row"]) == (3, 1, 3)
    assert await taken(exchange) == codes([0, 2])


async def test_a_resource_that_is_withdrawn_ends_the_stream_with_the_reason(exchange: Any, link: Any) -> None:
    resource = await exchange.publish()
    who = exchange.steward(exchange.provider)
    async with sending(link.url, f"/v1/resources/{resource.resource_id}/streams/{uuid7()}", who, rows=1) as sender:
        assert await sender.status() == 200
        await sender.line()
        await sender.send(row(0))
        await sender.line()
        await exchange.withdraw(resource)
        await sender.send(row(1))
        line = await sender.line()
        assert line is not None
        assert (line["problem"]["status"], line["next_row"]) == (409, 1)
        await sender.end()
        assert await sender.line() is None


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"params": {"kind": "snapshot"}}, 422),
        ({"params": {"rows": 0}}, 422),
        ({"headers": {"Content-Type": "text/csv"}}, 415),
        ({"headers": {"Content-Encoding": "gzip"}}, 415),
        ({"params": {"version": 9}}, 409),
    ],
)
async def test_a_stream_that_cannot_be_is_refused_before_it_begins(exchange: Any, changes: dict[str, Any], status: int) -> None:
    resource, other = await exchange.publish(), await exchange.publish(key=())
    who = exchange.steward(exchange.provider) | {"Content-Type": "application/x-ndjson"}
    path = f"/v1/resources/{resource.resource_id}/streams/{uuid7()}"
    answer = await exchange.client.post(path, content=row(0), headers=who | changes.get("headers", {}), params=changes.get("params"))
    assert answer.status_code == status, answer.text
    assert await taken(exchange) == []
    keyless = f"/v1/resources/{other.resource_id}/streams/{uuid7()}"
    assert (await exchange.client.post(keyless, content=row(0), headers=who, params={"kind": "upsert"})).status_code == 422
    foreign = who | exchange.steward(exchange.stranger)
    assert (await exchange.client.post(path, content=row(0), headers=foreign)).status_code == 404


async def test_a_stream_id_stands_for_one_resource(exchange: Any) -> None:
    resource, other, stream_id = await exchange.publish(), await exchange.publish(), uuid7()
    who = exchange.steward(exchange.provider) | {"Content-Type": "application/x-ndjson"}
    for one, status in ((resource, 200), (other, 409)):
        answer = await exchange.client.post(f"/v1/resources/{one.resource_id}/streams/{stream_id}", content=row(0), headers=who)
        assert answer.status_code == status
    assert answer.json()["type"].endswith("stream-conflict")


async def test_one_organization_does_not_take_every_stream_of_a_process(exchange: Any, link: Any) -> None:
    resource, who = await exchange.publish(), exchange.steward(exchange.provider)
    other = await exchange.publish(provider=exchange.stranger)

    def path(of: Any) -> str:
        return f"/v1/resources/{of.resource_id}/streams/{uuid7()}"

    async with AsyncExitStack() as stack:
        senders = [await stack.enter_async_context(sending(link.url, path(resource), who)) for _ in range(10)]
        assert {await one.status() for one in senders} == {200}
        assert all([await one.line() for one in senders])
        async with sending(link.url, path(resource), who) as another:
            assert await another.status() == 429
        async with sending(link.url, path(other), exchange.steward(exchange.stranger)) as theirs:
            assert await theirs.status() == 200
        await senders[0].end()
        assert (await senders[0].line() or {})["end"]
        assert await senders[0].line() is None
        async with sending(link.url, path(resource), who) as another:
            assert await another.status() == 200
