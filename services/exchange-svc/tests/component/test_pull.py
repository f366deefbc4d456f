"""Reading a grant's rows: forms, pages at one version of the table, and who is refused."""

import gzip
import io
import json
import shutil
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.testing import listening
from exchange_svc.formats import MEDIA_TYPES, Format


async def read(exchange: Any, grant_id: str, **params: Any) -> Any:
    return await exchange.client.get(f"/v1/grants/{grant_id}/rows", params=params, headers=exchange.steward(exchange.requester))


async def read_all(exchange: Any, grant_id: str, limit: int) -> list[Any]:
    seen, cursor = [], None
    while True:
        page = (await read(exchange, grant_id, limit=limit, **({"cursor": cursor} if cursor else {}))).json()
        seen, cursor = seen + page["items"], page["next_cursor"]
        if cursor is None:
            return seen


def rows(numbers: Any, name: str = "street") -> bytes:
    return ("code,name,people,since\n" + "".join(f"{n},{name},{n},2001-01-01\n" for n in numbers)).encode()


async def test_a_grant_reads_its_items_and_no_others(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    grant = await exchange.granted(resource, items=["people", "code"])
    found = (await read(exchange, grant["grant_id"])).json()
    assert found["items"] == [
        {"code": "330602001", "people": 81234},
        {"code": "330602002", "people": None},
        {"code": "330602003", "people": 55000},
    ]
    assert found["next_cursor"] is None


async def test_every_form_holds_the_same_rows(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id, rows(range(5)))
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    whole = (await read(exchange, grant_id)).json()["items"]
    assert whole[3] == {"code": "3", "name": "street", "people": 3, "since": "2001-01-01"}
    ndjson = await read(exchange, grant_id, format="ndjson", limit=3)
    assert [json.loads(line) for line in ndjson.text.splitlines()] == whole[:3]
    rest = await read(exchange, grant_id, format="ndjson", cursor=ndjson.headers["next-cursor"])
    assert [json.loads(line) for line in rest.text.splitlines()] == whole[3:]
    assert "next-cursor" not in rest.headers
    csv = await read(exchange, grant_id, format="csv")
    types = {"code": pl.String, "since": pl.String}
    assert pl.read_csv(csv.content, schema_overrides=types).to_dicts() == whole
    assert csv.headers["content-type"].startswith("text/csv")
    parquet = await exchange.client.get(
        f"/v1/grants/{grant_id}/rows",
        headers=exchange.steward(exchange.requester) | {"Accept": "text/html, application/vnd.apache.parquet;q=0.9"},
    )
    assert pl.read_parquet(io.BytesIO(parquet.content)).height == 5
    assert (await read(exchange, grant_id, format="xml")).status_code == 422


async def test_pages_of_one_reading_are_of_one_version(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id, rows(range(10)), params={"kind": "upsert"})
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    first = (await read(exchange, grant_id, limit=4)).json()
    await exchange.accepted(resource.resource_id, rows(range(5, 30), "later"), params={"kind": "upsert"})
    await exchange.fold()
    seen, cursor = first["items"], first["next_cursor"]
    while cursor:
        page = (await read(exchange, grant_id, limit=4, cursor=cursor)).json()
        seen, cursor = seen + page["items"], page["next_cursor"]
    assert sorted(int(row["code"]) for row in seen) == list(range(10))
    assert {row["name"] for row in seen} == {"street"}
    fresh = await read_all(exchange, grant_id, 7)
    assert sorted(int(row["code"]) for row in fresh) == list(range(30))
    table = await exchange.client.get(f"/v1/resources/{resource.resource_id}/table", headers=exchange.steward(exchange.requester))
    assert (table.json()["row_count"], table.json()["sequence"]) == (30, 2)


async def test_many_batches_are_read_once_each_and_in_a_fixed_order(exchange: Any) -> None:
    resource = await exchange.publish()
    for n in range(8):
        await exchange.accepted(resource.resource_id, rows(range(n * 10, n * 10 + 10)))
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    by_seven = await read_all(exchange, grant_id, 7)
    assert by_seven == await read_all(exchange, grant_id, 1000)
    assert sorted(int(row["code"]) for row in by_seven) == list(range(80))


def forget(folder: Path) -> None:
    """Remove a table's data files, as a vacuum does with those of old versions."""
    for file in folder.rglob("*.parquet"):
        file.unlink()


async def test_a_version_that_is_kept_no_longer_is_gone(exchange: Any) -> None:
    resource = await exchange.publish()
    for numbers in (range(10), range(10, 20)):
        await exchange.accepted(resource.resource_id, rows(numbers))
        await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    cursor = (await read(exchange, grant_id, limit=4)).json()["next_cursor"]
    folder = Path(exchange.objects.uri(f"tables/{resource.resource_id}"))
    forget(folder)
    held = (await read(exchange, grant_id, cursor=cursor, limit=5)).json()  # of the file in memory
    assert [row["code"] for row in held["items"]] == ["4", "5", "6", "7", "8"]
    answer = await read(exchange, grant_id, cursor=held["next_cursor"])
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (410, "table-version-gone")
    shutil.rmtree(folder)
    assert (await read(exchange, grant_id, cursor=held["next_cursor"])).status_code == 410


async def test_before_anything_was_folded_there_are_no_rows(exchange: Any) -> None:
    resource = await exchange.publish()
    grant_id = (await exchange.granted(resource))["grant_id"]
    assert (await read(exchange, grant_id)).json() == {"items": [], "next_cursor": None}
    for form in ("ndjson", "csv", "parquet"):
        assert (await read(exchange, grant_id, format=form)).status_code == 200
    table = await exchange.client.get(f"/v1/resources/{resource.resource_id}/table", headers=exchange.steward(exchange.provider))
    assert (table.json()["version"], table.json()["row_count"]) == (None, 0)


@pytest.mark.parametrize("cursor", ["x", "", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "é", "a" * 3000])
async def test_a_cursor_that_was_not_given_out_is_refused(exchange: Any, cursor: str) -> None:
    resource = await exchange.publish()
    grant_id = (await exchange.granted(resource))["grant_id"]
    answer = await read(exchange, grant_id, cursor=cursor)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query:cursor")


async def test_a_cursor_of_another_grant_is_refused(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id, rows(range(10)))
    await exchange.fold()
    one, other = (await exchange.granted(resource))["grant_id"], (await exchange.granted(resource))["grant_id"]
    cursor = (await read(exchange, one, limit=4)).json()["next_cursor"]
    assert (await read(exchange, other, cursor=cursor)).status_code == 422


@pytest.mark.parametrize("limit", [0, 100_001, "many"])
async def test_a_limit_that_is_none_is_named(exchange: Any, limit: Any) -> None:
    resource = await exchange.publish()
    grant_id = (await exchange.granted(resource))["grant_id"]
    answer = await read(exchange, grant_id, limit=limit)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query:limit")


async def test_only_the_requester_reads(exchange: Any) -> None:
    resource = await exchange.publish()
    grant_id = (await exchange.granted(resource))["grant_id"]
    for who in (exchange.steward(exchange.provider), exchange.steward(exchange.stranger), exchange.authority):
        assert (await exchange.client.get(f"/v1/grants/{grant_id}/rows", headers=who)).status_code == 404
    assert (await read(exchange, str(uuid7()))).status_code == 404
    table = f"/v1/resources/{resource.resource_id}/table"
    assert (await exchange.client.get(table, headers=exchange.steward(exchange.stranger))).status_code == 404


async def test_a_grant_that_is_over_reads_nothing_and_says_why(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    short = (await exchange.granted(resource, use_until=(utc_now() + timedelta(days=1)).isoformat()))["grant_id"]
    ended = (await exchange.granted(resource))["grant_id"]
    assert (await read(exchange, short)).status_code == 200
    await exchange.expire(short)
    url = f"/v1/grants/{ended}/termination"
    await exchange.client.post(url, json={"reason": "课题结束"}, headers=exchange.steward(exchange.requester))
    for grant_id, word in ((short, "good until"), (ended, "课题结束")):
        answer = await read(exchange, grant_id)
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (403, "grant-over")
        assert word in answer.json()["detail"]


async def test_a_reading_under_way_stops_with_the_grant_at_its_next_page_and_within_a_long_one(exchange: Any) -> None:
    resource = await exchange.publish()
    for first in range(0, 40_000, 10_000):  # a reader's and a sender's buffers hold less than these 12 MB
        body = b"code,name\n" + "".join(f"{code},{'x' * 300}\n" for code in range(first, first + 10_000)).encode()
        await exchange.accepted(resource.resource_id, gzip.compress(body, 1), headers={"Content-Encoding": "gzip"})
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    page = await read(exchange, grant_id, limit=2)
    headers = exchange.steward(exchange.requester)
    small = httpx.AsyncHTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)])
    async with listening(exchange.app) as url, httpx.AsyncClient(transport=small, base_url=url, headers=headers, timeout=30) as reader:
        params = {"format": "ndjson", "limit": "100000"}
        async with reader.stream("GET", f"/v1/grants/{grant_id}/rows", params=params) as answer:
            assert (answer.status_code, answer.headers["row-count"]) == (200, "40000")
            pieces = answer.aiter_bytes()
            seen = (await anext(pieces)).count(b"\n")

            async def to_the_end() -> None:
                nonlocal seen
                async for piece in pieces:
                    seen += piece.count(b"\n")

            await exchange.client.post(f"/v1/grants/{grant_id}/termination", json={"reason": "课题结束"}, headers=headers)
            with pytest.raises(httpx.RemoteProtocolError):
                await to_the_end()
    assert 0 < seen < 40_000
    following = await read(exchange, grant_id, limit=2, cursor=page.json()["next_cursor"])
    assert (following.status_code, following.json()["type"].rsplit("/", 1)[1]) == (403, "grant-over")


async def test_a_large_table_is_read_whole_page_by_page(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id, rows(range(40_000)))
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    found = await read_all(exchange, grant_id, 1000)
    assert [int(row["code"]) for row in found] == list(range(40_000))


async def test_a_page_that_is_as_it_was_is_not_sent_again(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id, rows(range(5)))
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    headers = exchange.steward(exchange.requester)

    async def asked(etag: str | None, **params: Any) -> Any:
        told = {} if etag is None else {"If-None-Match": etag}
        return await exchange.client.get(f"/v1/grants/{grant_id}/rows", params=params, headers=headers | told)

    first = await asked(None)
    etag = first.headers["etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        again = await asked(known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    for other in (await asked('"x"'), await asked(etag, limit=2), await asked(etag, format="csv")):
        assert (other.status_code, other.headers["etag"] != etag or other.request.headers["if-none-match"] == '"x"') == (200, True)
    await exchange.accepted(resource.resource_id, rows(range(5, 6)))
    await exchange.fold()
    later = await asked(etag)
    assert (later.status_code, len(later.json()["items"])) == (200, 6)
    await exchange.client.post(f"/v1/grants/{grant_id}/suspension", json={"reason": "x"}, headers=exchange.steward(exchange.provider))
    assert (await asked(later.headers["etag"])).status_code == 403


async def test_long_pages_are_whole_in_every_form(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id, rows(range(25_000)))
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    types = {"code": pl.String, "since": pl.String}
    readers = {
        "json": lambda body: [row["people"] for row in json.loads(body)["items"]],
        "ndjson": lambda body: [json.loads(line)["people"] for line in body.splitlines()],
        "csv": lambda body: pl.read_csv(body, schema_overrides=types)["people"].to_list(),
        "parquet": lambda body: pl.read_parquet(io.BytesIO(body))["people"].to_list(),
        "arrow": lambda body: pl.read_ipc_stream(io.BytesIO(body))["people"].to_list(),
    }
    for form, people in readers.items():
        page = await read(exchange, grant_id, format=form, limit=24_999)
        assert people(page.content) == list(range(24_999)), form
        assert (page.headers["content-type"].split(";")[0], page.headers["row-count"]) == (MEDIA_TYPES[form], "24999")
        rest = await read(exchange, grant_id, format=form, limit=24_999, cursor=page.headers["next-cursor"])
        assert (people(rest.content), "next-cursor" in rest.headers) == ([24_999], False)


@pytest.mark.parametrize("form", list(Format))
async def test_a_page_of_every_form_has_its_own_tag_and_no_parts(exchange: Any, form: Format) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id, rows(range(5)))
    await exchange.fold()
    url = f"/v1/grants/{(await exchange.granted(resource))['grant_id']}/rows"
    headers = exchange.steward(exchange.requester)

    async def asked(**more: str) -> Any:
        return await exchange.client.get(url, params={"format": form}, headers=headers | more)

    whole = await asked()
    known = await asked(**{"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", whole.headers["etag"])
    other = "csv" if form == "json" else "json"
    assert (await exchange.client.get(url, params={"format": other}, headers=headers)).headers["etag"] != whole.headers["etag"]
    for part in ({"Range": "bytes=0-1"}, {"Range": "bytes=0-1", "If-Range": whole.headers["etag"]}):
        answer = await asked(**part)
        assert (answer.status_code, answer.content) == (200, whole.content)
        assert not {"accept-ranges", "content-range"} & set(answer.headers)
