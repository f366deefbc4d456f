"""Uploads in parts: created, continued, checked, ended, expired; a whole one is the batch a push of the same bytes would be."""

import asyncio
import base64
import hashlib
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from dxmesh_runtime.db import connect, utc_now, uuid7
from dxmesh_runtime.settings import DatabaseSettings
from dxmesh_schemas.exchange import BatchReceived
from exchange_svc.batch.intake import Intake
from exchange_svc.batch.store import Batch
from exchange_svc.upload.arrivals import Arrivals
from exchange_svc.upload.store import Upload

CSV = "code,name,people,since\n330602001,塔山街道,81234,2001-05-01\n330602002,府山街道,,\n330602003,北海街道,55000,1999-12-31\n".encode()
VERSION = {"Tus-Resumable": "1.0.0"}


def pairs(**values: Any) -> str:
    return ",".join(f"{name} {base64.b64encode(str(value).encode()).decode()}" for name, value in values.items())


async def create(exchange: Any, resource: Any, length: int = len(CSV), *, by: Any = None, **metadata: Any) -> Any:
    known = {"resource_id": resource.resource_id, "batch_id": uuid7(), "media_type": "text/csv"} | metadata
    headers = VERSION | exchange.steward(by or exchange.provider)
    headers |= {
        "Upload-Length": str(length),
        "Upload-Metadata": pairs(**{name: value for name, value in known.items() if value is not None}),
    }
    return await exchange.client.post("/v1/uploads", headers=headers)


async def created(exchange: Any, resource: Any, length: int = len(CSV), **metadata: Any) -> str:
    answer = await create(exchange, resource, length, **metadata)
    assert answer.status_code == 201, answer.text
    found: str = answer.headers["location"]
    return found


async def look(exchange: Any, url: str, by: Any = None) -> Any:
    return await exchange.client.head(url, headers=VERSION | exchange.steward(by or exchange.provider))


async def patch(exchange: Any, url: str, offset: int, content: Any, *, by: Any = None, **headers: str) -> Any:
    given = VERSION | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)} | headers
    return await exchange.client.patch(url, content=content, headers=given | exchange.steward(by or exchange.provider))


async def batches(exchange: Any) -> int:
    async with exchange.sessions() as tx:
        return await tx.scalar(select(func.count()).select_from(Batch)) or 0


async def swept(exchange: Any) -> int:
    database = connect(DatabaseSettings(url=exchange.url))
    arrivals = Arrivals(
        database, cast(Intake, None), exchange.staging / "uploads", term_seconds=60, idle_seconds=1, max_open=1, max_open_bytes=1
    )
    try:
        return await arrivals.sweep()
    finally:
        await database.close()


def slug(answer: Any) -> str:
    return str(answer.json()["type"].rsplit("/", 1)[1])


async def test_the_protocol_says_what_it_speaks_and_refuses_other_versions(exchange: Any) -> None:
    options = await exchange.client.options("/v1/uploads")
    assert options.status_code == 204
    assert options.headers["tus-version"] == options.headers["tus-resumable"] == "1.0.0"
    assert set(options.headers["tus-extension"].split(",")) == {"creation", "termination", "expiration", "checksum"}
    assert options.headers["tus-max-size"] == "1500000"
    assert "sha1" in options.headers["tus-checksum-algorithm"].split(",")
    for version in ({}, {"Tus-Resumable": "0.2.2"}):
        refused = await exchange.client.post("/v1/uploads", headers=exchange.steward(exchange.provider) | version)
        assert (refused.status_code, slug(refused)) == (412, "tus-version")
        assert refused.headers["tus-version"] == refused.headers["tus-resumable"] == "1.0.0"


async def test_an_upload_in_parts_is_the_batch_that_a_push_of_its_bytes_is(exchange: Any) -> None:
    resource, batch_id = await exchange.publish(), uuid7()
    url = await created(exchange, resource, batch_id=batch_id, kind="upsert", filename="streets.csv")
    for begin, end in ((0, 1), (1, 40), (40, len(CSV))):
        before = await look(exchange, url)
        assert (before.status_code, before.headers["upload-offset"]) == (200, str(begin))
        assert (before.headers["upload-length"], before.headers["cache-control"]) == (str(len(CSV)), "no-store")
        assert f"filename {base64.b64encode(b'streets.csv').decode()}" in before.headers["upload-metadata"]
        assert parsedate_to_datetime(before.headers["upload-expires"]) > utc_now() + timedelta(days=2)
        assert await batches(exchange) == 0
        answer = await patch(exchange, url, begin, CSV[begin:end])
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(end))
    assert answer.headers["content-location"] == f"/v1/batches/{batch_id}"
    batch = (await exchange.client.get(answer.headers["content-location"], headers=exchange.steward(exchange.provider))).json()
    assert (batch["body_sha256"], batch["received_count"], batch["kind"]) == (hashlib.sha256(CSV).hexdigest(), 3, "upsert")
    again = await exchange.push(resource.resource_id, batch_id=batch_id, params={"kind": "upsert"})
    assert (again.status_code, again.json()) == (200, batch)
    assert (await look(exchange, url)).headers["upload-offset"] == str(len(CSV))
    assert (await patch(exchange, url, len(CSV), b"")).status_code == 204
    assert len([event for event in await exchange.outbox() if isinstance(event, BatchReceived)]) == 1
    assert [path for path in exchange.staging.rglob("*") if path.is_file() and path.name != "lock"] == []


async def test_a_batch_that_was_pushed_is_found_again_by_its_upload_and_another_body_is_a_conflict(exchange: Any) -> None:
    resource = await exchange.publish()
    first = await exchange.pushed(resource.resource_id)
    same = await created(exchange, resource, batch_id=first["batch_id"])
    assert (await patch(exchange, same, 0, CSV)).status_code == 204
    other = await created(exchange, resource, 4, batch_id=first["batch_id"])
    refused = await patch(exchange, other, 0, b"code")
    assert (refused.status_code, slug(refused)) == (409, "batch-conflict")
    assert await batches(exchange) == 1


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({"resource_id": None}, 422, "resource_id"),
        ({"batch_id": "x"}, 422, "batch_id"),
        ({"media_type": None}, 422, "media_type"),
        ({"media_type": "image/png"}, 415, "image/png"),
        ({"kind": "replace"}, 422, "kind"),
        ({"content_encoding": "br"}, 415, "br"),
        ({"version": "7"}, 409, "version"),
        ({"sha256": "12"}, 422, "sha256"),
        ({"resource_id": uuid7()}, 404, "resource"),
        ({"length": 1_500_001}, 413, "1500000"),
    ],
)
async def test_what_a_push_is_refused_for_before_its_body_refuses_the_creation(
    exchange: Any, changes: dict[str, Any], status: int, named: str
) -> None:
    resource = await exchange.publish()
    answer = await create(exchange, resource, **changes)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["detail"]
    assert answer.headers["tus-resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("header", "value"),
    [("Upload-Length", "-1"), ("Upload-Length", "1e3"), ("Upload-Metadata", "resource_id ???"), ("Upload-Metadata", "a,a")],
)
async def test_a_header_that_cannot_be_read_is_named(exchange: Any, header: str, value: str) -> None:
    headers = VERSION | exchange.steward(exchange.provider) | {"Upload-Length": "1", header: value}
    answer = await exchange.client.post("/v1/uploads", headers=headers)
    assert (answer.status_code, slug(answer)) == (400, "tus-header")
    assert header in answer.json()["detail"]


async def test_only_the_owner_knows_and_continues_an_upload(exchange: Any) -> None:
    resource = await exchange.publish()
    assert (await create(exchange, resource, by=exchange.stranger)).status_code == 404
    url = await created(exchange, resource)
    nowhere = f"/v1/uploads/{uuid7()}"
    for path, by in ((url, exchange.stranger), (nowhere, exchange.provider)):
        assert (await look(exchange, path, by)).status_code == 404
        assert (await patch(exchange, path, 0, CSV, by=by)).status_code == 404
        assert (await exchange.client.delete(path, headers=VERSION | exchange.steward(by))).status_code == 404
        assert (await exchange.client.get(path, headers=exchange.steward(by))).status_code == 404
    assert (await exchange.client.head(url, headers=VERSION)).status_code == 401
    assert (await look(exchange, url)).headers["upload-offset"] == "0"


async def test_a_part_at_another_offset_beyond_the_end_or_of_another_type_is_refused(exchange: Any) -> None:
    resource = await exchange.publish()
    url = await created(exchange, resource, 10)
    assert (await patch(exchange, url, 0, b"code,")).status_code == 204
    for offset in (0, 4, 6):
        wrong = await patch(exchange, url, offset, b"x")
        assert (wrong.status_code, slug(wrong), wrong.json()["offset"]) == (409, "offset-conflict", 5)
    beyond = await patch(exchange, url, 5, b"name,people")
    assert (beyond.status_code, slug(beyond)) == (413, "body-too-large")
    other = await patch(exchange, url, 5, b"x", **{"Content-Type": "text/csv"})
    assert (other.status_code, slug(other)) == (415, "part-unsupported")
    assert (await look(exchange, url)).headers["upload-offset"] == "5"


@pytest.mark.parametrize("name", ["sha1", "sha256", "md5"])
async def test_a_part_that_does_not_match_its_checksum_is_not_kept(exchange: Any, name: str) -> None:
    resource = await exchange.publish()
    url = await created(exchange, resource)
    first, rest = CSV[:30], CSV[30:]
    good = {"Upload-Checksum": f"{name} {base64.b64encode(hashlib.new(name, rest).digest()).decode()}"}
    assert (await patch(exchange, url, 0, first)).status_code == 204
    wrong = await patch(exchange, url, 30, rest[:-1] + b"!", **good)
    assert (wrong.status_code, slug(wrong)) == (460, "checksum-mismatch")
    assert (await look(exchange, url)).headers["upload-offset"] == "30"
    assert (await patch(exchange, url, 30, rest, **{"Upload-Checksum": "crc32 AAAA"})).status_code == 400
    assert (await patch(exchange, url, 30, rest, **good)).status_code == 204
    assert await batches(exchange) == 1


async def test_a_part_with_a_checksum_that_was_cut_is_taken_back_also_when_nobody_was_left_to_do_it(exchange: Any) -> None:
    resource = await exchange.publish()
    url = await created(exchange, resource)
    assert (await patch(exchange, url, 0, CSV[:30])).status_code == 204
    part = exchange.staging / "uploads" / f"{url.rsplit('/', 1)[1]}.part"
    part.with_suffix(".unverified").write_text("30")  # as a process leaves it that is killed while such a part arrives
    with part.open("ab") as file:
        file.write(b"not checked")
    assert (await look(exchange, url)).headers["upload-offset"] == "30"
    assert (await patch(exchange, url, 30, CSV[30:])).status_code == 204
    assert await batches(exchange) == 1


async def test_a_second_part_while_one_arrives_is_refused(exchange: Any) -> None:
    resource = await exchange.publish()
    url = await created(exchange, resource)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> Any:
        yield CSV[:20]
        begun.set()
        await go_on.wait()
        yield CSV[20:]

    first = asyncio.create_task(patch(exchange, url, 0, slowly()))
    await begun.wait()
    second = await patch(exchange, url, 0, CSV)
    assert (second.status_code, slug(second), second.headers["retry-after"]) == (423, "upload-busy", "1")
    ended = await exchange.client.delete(url, headers=VERSION | exchange.steward(exchange.provider))
    assert ended.status_code == 423
    go_on.set()
    assert (await first).status_code == 204
    assert await batches(exchange) == 1


async def test_a_file_that_a_push_is_refused_for_is_refused_and_says_so_again(exchange: Any) -> None:
    resource = await exchange.publish()
    body = b"\x28\xb5\x2f\xfd broken"
    url = await created(exchange, resource, len(body), content_encoding="zstd")
    refused = await patch(exchange, url, 0, body)
    assert (refused.status_code, slug(refused)) == (400, "body-damaged")
    assert (await look(exchange, url)).status_code == 422
    again = await patch(exchange, url, len(body), b"")
    assert (again.status_code, slug(again), again.json()["cause"]["status"]) == (422, "upload-refused", 400)
    told = (await exchange.client.get(url, headers=exchange.steward(exchange.provider))).json()
    assert (told["state"], told["problem"]["status"]) == ("refused", 400)
    assert exchange.keys() == set()
    wrong = await created(exchange, resource, sha256=hashlib.sha256(b"another").hexdigest())
    assert slug(await patch(exchange, wrong, 0, CSV)) == "digest-mismatch"


async def test_a_whole_upload_whose_intake_was_cut_short_is_taken_in_when_it_is_looked_at(exchange: Any) -> None:
    resource = await exchange.publish()
    url = await created(exchange, resource)
    (exchange.staging / "uploads" / f"{url.rsplit('/', 1)[1]}.part").write_bytes(CSV)  # every byte came, then the process was killed
    assert await batches(exchange) == 0
    assert (await look(exchange, url)).headers["upload-offset"] == str(len(CSV))
    assert await batches(exchange) == 1


async def test_an_upload_that_is_ended_or_expires_is_gone_with_its_bytes(exchange: Any) -> None:
    resource = await exchange.publish()
    ended, late = await created(exchange, resource), await created(exchange, resource)
    for url in (ended, late):
        assert (await patch(exchange, url, 0, CSV[:9])).status_code == 204
    assert (await exchange.client.delete(ended, headers=VERSION | exchange.steward(exchange.provider))).status_code == 204
    assert (await look(exchange, ended)).status_code == 404
    async with exchange.sessions.begin() as tx:
        await tx.execute(update(Upload).where(Upload.upload_id == UUID(late.rsplit("/", 1)[1])).values(expires_at=utc_now()))
    assert (await look(exchange, late)).status_code == 410
    assert slug(await patch(exchange, late, 9, CSV[9:])) == "upload-expired"
    assert len(list((exchange.staging / "uploads").iterdir())) == 1
    assert await swept(exchange) == 1
    assert list((exchange.staging / "uploads").iterdir()) == []
    assert (await look(exchange, late)).status_code == 404


async def test_a_post_may_stand_for_another_method(exchange: Any) -> None:
    resource = await exchange.publish()
    url = await created(exchange, resource)
    given = VERSION | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    answer = await exchange.client.post(url, content=CSV, headers=given | exchange.steward(exchange.provider))
    assert answer.status_code == 204
    assert await batches(exchange) == 1


async def test_what_unfinished_uploads_may_come_to_is_bounded(exchange: Any) -> None:
    resource = await exchange.publish()
    held = [await created(exchange, resource, 1_400_000) for _ in range(2)]
    refused = await create(exchange, resource, 1_400_000)
    assert (refused.status_code, slug(refused)) == (429, "uploads-too-many")
    assert "2800000 bytes" in refused.json()["detail"]
    ended = await exchange.client.delete(held[0], headers=VERSION | exchange.steward(exchange.provider))
    assert ended.status_code == 204
    await created(exchange, resource, 1_400_000)
