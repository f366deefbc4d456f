"""Pushing a batch: the answer, the acknowledgement, repeats, races, and everything that can be wrong with a body."""

import asyncio
import base64
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import cramjam
import polars as pl
import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from sqlalchemy import func, select

from dxmesh_runtime.db import uuid7
from dxmesh_runtime.testing import Tokens, schema_diff
from dxmesh_schemas.exchange import BatchReceived
from exchange_svc.batch.store import Batch
from exchange_svc.delivery import store as delivery_store  # noqa: F401  # its tables are of this service
from exchange_svc.grant import store as grant_store  # noqa: F401
from exchange_svc.request import store as request_store  # noqa: F401
from exchange_svc.rows import Base
from exchange_svc.table import store as table_store  # noqa: F401

CSV = "code,name,people,since\n330602001,塔山街道,81234,2001-05-01\n330602002,府山街道,,\n330602003,北海街道,55000,1999-12-31\n".encode()


def xlsx(**columns: list[Any]) -> bytes:
    sink = io.BytesIO()
    pl.DataFrame(columns).write_excel(sink)
    return sink.getvalue()


async def count(exchange: Any) -> int:
    async with exchange.sessions() as tx:
        return await tx.scalar(select(func.count()).select_from(Batch)) or 0


async def nothing_was_kept(exchange: Any) -> None:
    assert await count(exchange) == 0
    assert not [event for event in await exchange.outbox() if isinstance(event, BatchReceived)]
    assert exchange.keys() == set()
    assert exchange.left_in_staging() == []


async def test_the_migrated_schema_is_the_one_the_code_has(exchange: Any) -> None:
    assert await schema_diff(exchange.url, Base.metadata) == []


async def test_a_pushed_file_is_durable_counted_and_announced(exchange: Any) -> None:
    resource = await exchange.publish()
    batch = await exchange.pushed(resource.resource_id)
    assert (batch["state"], batch["received_count"], batch["refused_row_count"]) == ("received", 3, 0)
    assert batch["body_sha256"] == hashlib.sha256(CSV).hexdigest()
    assert batch["body_byte_count"] == len(CSV)
    event = await exchange.received(batch["batch_id"])
    assert event.provider == exchange.provider
    content = exchange.objects.get_bytes(event.rows.key)
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (event.rows.sha256, event.rows.byte_count)
    frame = pl.read_parquet(io.BytesIO(content))
    assert frame["code"].to_list() == ["330602001", "330602002", "330602003"]
    assert frame["people"].to_list() == [81234, None, 55000]
    assert exchange.left_in_staging() == []


async def test_the_acknowledgement_verifies_against_the_published_key(exchange: Any) -> None:
    resource = await exchange.publish()
    batch = await exchange.pushed(resource.resource_id)
    keys = KeySet.import_key_set((await exchange.client.get("/.well-known/jwks.json")).json())
    said = json.loads(jws.deserialize_compact(batch["acknowledgement"], keys, algorithms=["EdDSA"]).payload)
    for name in ("batch_id", "resource_id", "resource_version", "body_sha256", "body_byte_count", "received_count", "event_id"):
        assert said[name] == batch[name], name
    head, payload, signature = batch["acknowledgement"].split(".")
    changed = base64.urlsafe_b64encode(json.dumps(said | {"received_count": 4}).encode()).decode().rstrip("=")
    with pytest.raises(Exception, match="bad_signature"):
        jws.deserialize_compact(f"{head}.{changed}.{signature}", keys, algorithms=["EdDSA"])
    assert payload != changed


async def test_the_same_push_again_gets_the_same_answer_and_has_no_second_effect(exchange: Any) -> None:
    resource = await exchange.publish()
    first = await exchange.pushed(resource.resource_id)
    events, objects = await exchange.outbox(), exchange.keys()
    again = await exchange.push(resource.resource_id, batch_id=first["batch_id"])
    assert (again.status_code, again.json()) == (200, first)
    assert (await exchange.outbox(), exchange.keys()) == (events, objects)


async def test_a_repeat_is_answered_after_the_resource_was_withdrawn_and_a_new_push_is_not(exchange: Any) -> None:
    resource = await exchange.publish()
    first = await exchange.pushed(resource.resource_id)
    await exchange.withdraw(resource)
    assert (await exchange.push(resource.resource_id, batch_id=first["batch_id"])).status_code == 200
    refused = await exchange.push(resource.resource_id)
    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[1]) == (409, "resource-withdrawn")


@pytest.mark.parametrize("difference", ["body", "kind", "resource"])
async def test_another_push_under_the_same_id_is_a_conflict(exchange: Any, difference: str) -> None:
    resource, other = await exchange.publish(), await exchange.publish()
    first = await exchange.pushed(resource.resource_id)
    again = await exchange.push(
        (other if difference == "resource" else resource).resource_id,
        CSV + b"330602004,x,1,2001-01-01\n" if difference == "body" else CSV,
        batch_id=first["batch_id"],
        params={"kind": "upsert"} if difference == "kind" else {},
    )
    assert (again.status_code, again.json()["type"].rsplit("/", 1)[1]) == (409, "batch-conflict")
    assert difference in again.json()["detail"]
    assert await count(exchange) == 1


async def test_two_equal_pushes_at_once_have_one_effect_and_one_answer(exchange: Any) -> None:
    resource, batch_id = await exchange.publish(), uuid7()
    answers = await asyncio.gather(*(exchange.push(resource.resource_id, batch_id=batch_id) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.text for answer in answers}) == 1
    assert len([event for event in await exchange.outbox() if isinstance(event, BatchReceived)]) == 1


async def test_two_different_pushes_at_once_leave_the_winners_rows_whole(exchange: Any) -> None:
    resource, batch_id = await exchange.publish(), uuid7()
    bodies = [CSV + f"33060299{n},x{n},1,2001-01-01\n".encode() for n in range(4)]
    answers = await asyncio.gather(*(exchange.push(resource.resource_id, body, batch_id=batch_id) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    event = await exchange.received(str(batch_id))
    assert hashlib.sha256(exchange.objects.get_bytes(event.rows.key)).hexdigest() == event.rows.sha256
    assert exchange.keys() == {event.rows.key}, "what the losers had stored is gone"


async def test_every_format_and_coding_gives_the_same_rows(exchange: Any) -> None:
    resource = await exchange.publish()
    frame = pl.read_csv(CSV, schema_overrides={"code": pl.String, "since": pl.Date})
    parquet, arrow = io.BytesIO(), io.BytesIO()
    frame.write_parquet(parquet)
    frame.write_ipc_stream(arrow)
    rows = [{**row, "since": row["since"] and row["since"].isoformat()} for row in frame.to_dicts()]
    bodies = {
        "text/csv; charset=gb18030": CSV.decode().encode("gb18030"),
        "text/csv": CSV,
        "application/x-ndjson": "\n".join(json.dumps(row) for row in rows).encode(),
        "application/json": json.dumps(rows).encode(),
        "application/vnd.apache.parquet": parquet.getvalue(),
        "application/vnd.apache.arrow.stream": arrow.getvalue(),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": xlsx(**frame.to_dict(as_series=False)),
    }
    for media, plain in bodies.items():
        for coding, body in {None: plain, "gzip": gzip.compress(plain), "zstd": bytes(cramjam.zstd.compress(plain))}.items():
            answer = await exchange.push(resource.resource_id, body, headers={"Content-Type": media, "Content-Encoding": coding})
            assert answer.status_code == 201, (media, coding, answer.text)
            assert answer.json()["body_sha256"] == hashlib.sha256(body).hexdigest(), "of the bytes as they travelled"
            event = await exchange.received(answer.json()["batch_id"])
            read = pl.read_parquet(io.BytesIO(exchange.objects.get_bytes(event.rows.key)))
            assert read.select(frame.columns).equals(frame), (media, coding)


async def test_lines_that_cannot_be_read_are_refused_by_number_and_kept(exchange: Any) -> None:
    resource = await exchange.publish()
    body = "code,name,people,since\n1,a,many,2001-01-01\n2,b,2,2001-01-01\n3,c,3,2001-13-01\n"
    batch = await exchange.pushed(resource.resource_id, body.encode())
    assert (batch["received_count"], batch["refused_row_count"]) == (3, 2)
    url = f"/v1/batches/{batch['batch_id']}/quarantine"
    lines = (await exchange.client.get(url, headers=exchange.steward(exchange.provider))).json()["items"]
    assert [(line["row"], line["item"], line["rule"], line["value"]) for line in lines] == [
        (1, "people", "type", "many"),
        (3, "since", "type", "2001-13-01"),
    ]


LONG = b"code,name,people,since\n" + b"".join(f"{n},{'x' * 1000},1,2001-01-01\n".encode() for n in range(1600))


def bomb(filling: bytes = b" " * 300_000_000) -> bytes:
    """Return an XLSX whose sheet inflates to 300 MB, or has this after its rows."""
    source, sink = zipfile.ZipFile(io.BytesIO(xlsx(code=["1"], name=["a"], people=[1], since=["2001-01-01"]))), io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name.startswith("xl/worksheets/sheet"):
                content = content.replace(b"</sheetData>", filling + b"</sheetData>")
            target.writestr(name, content)
    return sink.getvalue()


PARQUET = "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BAD: dict[str, tuple[bytes, dict[str, str], set[int]]] = {
    "empty body": (b"", {}, {400}),
    "header only": (b"code,name,people,since\n", {}, {400}),
    "content type that is not read": (CSV, {"Content-Type": "application/pdf"}, {415}),
    "content type that is none": (CSV, {"Content-Type": "nonsense"}, {415}),
    "content encoding that is not read": (CSV, {"Content-Encoding": "br"}, {415}),
    "gzip that is none": (CSV, {"Content-Encoding": "gzip"}, {400}),
    "truncated gzip": (gzip.compress(CSV * 50)[:-9], {"Content-Encoding": "gzip"}, {400}),
    "truncated zstd": (bytes(cramjam.zstd.compress(CSV * 50))[:-5], {"Content-Encoding": "zstd"}, {400}),
    "gzip bomb": (gzip.compress(b"code,name,people,since\n" + b"1,a,1,2001-01-01\n" * 600_000), {"Content-Encoding": "gzip"}, {413}),
    "body above the limit": (LONG, {}, {413}),
    "unknown column": (CSV.replace(b"people", b"persons"), {}, {422}),
    "missing column": (b"code,people\n1,2\n", {}, {422}),
    "doubled column": (b"code,name,name\n1,a,b\n", {}, {422}),
    "json that is cut": (b'[{"code":"1","name":"a"', {"Content-Type": "application/json"}, {400}),
    "json that is no list of rows": (b'"hello"', {"Content-Type": "application/json"}, {400, 422}),
    "parquet that is none": (CSV, {"Content-Type": PARQUET}, {400}),
    "arrow that is none": (CSV, {"Content-Type": "application/vnd.apache.arrow.stream"}, {400}),
    "xlsx that is none": (CSV, {"Content-Type": XLSX}, {400}),
    "xlsx that is cut": (xlsx(code=["1"], name=["a"])[:-200], {"Content-Type": XLSX}, {400}),
    "encoding that is not known": (CSV, {"Content-Type": "text/csv; charset=klingon"}, {415}),
    "digest of another body": (CSV, {"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(b'x').digest()).decode()}:"}, {422}),
    "digest that is none": (CSV, {"Content-Digest": "sha-256=hello"}, {400}),
    "digest that is cut": (CSV, {"Content-Digest": "sha-256=:AAAA:"}, {400}),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_body_is_a_problem_that_says_what_to_do_and_leaves_nothing(exchange: Any, name: str) -> None:
    body, headers, statuses = BAD[name]
    resource = await exchange.publish()
    answer = await exchange.push(resource.resource_id, body, headers=headers)
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.json()["detail"]) > 15
    await nothing_was_kept(exchange)


async def test_a_zip_bomb_in_an_xlsx_is_refused(exchange: Any) -> None:
    resource = await exchange.publish()
    answer = await exchange.push(resource.resource_id, bomb(), headers={"Content-Type": XLSX})
    assert answer.status_code in (400, 413), answer.text
    await nothing_was_kept(exchange)


async def test_an_xlsx_with_one_cell_far_from_its_table_is_refused(exchange: Any) -> None:
    resource = await exchange.publish()
    far = bomb(b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    answer = await exchange.push(resource.resource_id, far, headers={"Content-Type": XLSX})
    assert answer.status_code == 413, answer.text
    assert "XFD1048576" in answer.json()["detail"]
    await nothing_was_kept(exchange)


async def test_lines_in_a_wrong_encoding_are_refused_one_by_one(exchange: Any) -> None:
    resource = await exchange.publish()
    body = b"code,name,people,since\n1,a,1,2001-01-01\n2,\xff\xfe\xff,1,2001-01-01\n"
    answer = await exchange.push(resource.resource_id, body, headers={"Content-Type": "text/csv; charset=utf-8"})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["received_count"], answer.json()["refused_row_count"]) == (2, 1)


async def test_a_body_without_a_length_is_stopped_at_the_limit(exchange: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"code,name,people,since\n"
        for _ in range(5000):
            yield b"1,a,1,2001-01-01\n" * 100

    resource = await exchange.publish()
    assert (await exchange.push(resource.resource_id, endless())).status_code == 413
    await nothing_was_kept(exchange)


async def test_a_large_body_arrives_in_pieces_and_is_read_whole(exchange: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"code,name,people,since\n"
        for n in range(400):
            yield b"".join(f"{n * 100 + i},street,1,2001-01-01\n".encode() for i in range(100))

    resource = await exchange.publish()
    answer = await exchange.push(resource.resource_id, pieces())
    assert (answer.status_code, answer.json().get("received_count")) == (201, 40_000), answer.text


async def test_a_right_digest_passes(exchange: Any) -> None:
    resource = await exchange.publish()
    digest = f"sha-512=:{base64.b64encode(hashlib.sha512(CSV).digest()).decode()}:"
    assert (await exchange.push(resource.resource_id, headers={"Content-Digest": digest})).status_code == 201


async def test_a_sender_who_goes_away_leaves_nothing(exchange: Any) -> None:
    resource = await exchange.publish()
    arriving = iter(
        [{"type": "http.request", "body": CSV, "more_body": True}, {"type": "http.disconnect"}],
    )
    sent: list[Any] = []
    token = exchange.steward(exchange.provider)["Authorization"]

    async def receive() -> Any:
        return next(arriving)

    async def send(message: Any) -> None:
        sent.append(message)

    async with exchange.app.router.lifespan_context(exchange.app) as state:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "PUT",
            "scheme": "http",
            "path": f"/v1/resources/{resource.resource_id}/batches/{uuid7()}",
            "query_string": b"",
            "headers": [(b"authorization", token.encode()), (b"content-type", b"text/csv"), (b"host", b"x")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": dict(state or {}),
        }
        await exchange.app(scope, receive, send)
    assert not sent or sent[0]["status"] == 400
    await nothing_was_kept(exchange)


@pytest.mark.parametrize("path", ["/v1/resources/nonsense/batches/{ok}", "/v1/resources/{ok}/batches/12", "/v1/resources/{ok}/batches/%00"])
async def test_ids_that_are_not_ids_are_named(exchange: Any, path: str) -> None:
    answer = await exchange.client.put(
        path.format(ok=uuid7()), content=CSV, headers=exchange.steward(exchange.provider) | {"Content-Type": "text/csv"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    assert "path:" in answer.json()["errors"][0]["pointer"]


@pytest.mark.parametrize("params", [{"kind": "replace"}, {"delimiter": "::"}, {"delimiter": ""}, {"encoding": "x" * 41}])
async def test_parameters_that_are_wrong_are_named(exchange: Any, params: dict[str, str]) -> None:
    resource = await exchange.publish()
    answer = await exchange.push(resource.resource_id, params=params)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"query:{next(iter(params))}")


@pytest.mark.parametrize(
    "params",
    [{"delimiter": mark} for mark in ('"', "\n", "\x00", "中", "a")]
    + [{"encoding": name} for name in ("\x00", "utf-8\n", "base64", "idna", "..")],
)
async def test_a_strange_delimiter_or_encoding_is_never_our_fault(exchange: Any, params: dict[str, str]) -> None:
    resource = await exchange.publish()
    answer = await exchange.push(resource.resource_id, params=params)
    assert answer.status_code in (201, 400, 415, 422), answer.text


async def test_a_sheet_that_is_not_there_is_named(exchange: Any) -> None:
    resource = await exchange.publish()
    body = xlsx(code=["1"], name=["a"], people=[1], since=["2001-01-01"])
    answer = await exchange.push(resource.resource_id, body, params={"sheet": "none"}, headers={"Content-Type": XLSX})
    assert 400 <= answer.status_code < 500, answer.text


async def test_anothers_resource_and_no_resource_look_the_same(exchange: Any) -> None:
    resource, nowhere = await exchange.publish(), uuid7()
    foreign = await exchange.push(resource.resource_id, by=exchange.stranger)
    absent = await exchange.push(nowhere, by=exchange.stranger)
    assert foreign.status_code == absent.status_code == 404

    def shape(answer: Any, resource_id: UUID) -> str:
        body = {k: v for k, v in answer.json().items() if k not in ("instance", "trace_id")}
        return json.dumps(body).replace(str(resource_id), "ID")

    assert shape(foreign, resource.resource_id) == shape(absent, nowhere)
    await nothing_was_kept(exchange)


async def test_without_a_good_token_nothing_is_taken(exchange: Any) -> None:
    resource = await exchange.publish()
    org = exchange.provider.organization_id
    expired = exchange.tokens.issue(org, "steward", exp=1_700_000_000)
    foreign = exchange.tokens.issue(org, "steward", aud="elsewhere")
    forged = Tokens().issue(org, "steward")
    for headers in ({"Authorization": None}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic eDp5"}, expired, foreign, forged):
        answer = await exchange.push(resource.resource_id, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    for headers in (exchange.tokens.issue(org, "operator"), exchange.tokens.issue(None, "steward")):
        assert (await exchange.push(resource.resource_id, headers=headers)).status_code == 403
    await nothing_was_kept(exchange)


async def test_what_a_dead_process_left_in_staging_is_removed(exchange: Any, tmp_path: Path) -> None:
    left = tmp_path / "staging" / "0123"
    (left / "push").mkdir(parents=True)
    (left / "lock").touch()
    (left / "push" / "body").write_bytes(CSV)
    held = {path for path in exchange.staging.iterdir() if path != left}
    async with exchange.app.router.lifespan_context(exchange.app):
        assert not left.exists()
        assert held < set(exchange.staging.iterdir()), "a living process keeps its own"
