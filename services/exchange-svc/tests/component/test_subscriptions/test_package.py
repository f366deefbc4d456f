"""Packages: what is in them, that it is sealed, who fetches them, how often and how long, and the receipt of each download."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey
from sqlalchemy import update

from dxmesh_runtime import signing
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.exchange_subscriptions import PackageDownloaded, PackageMade
from exchange_svc.enforcement.rows import token_keys
from exchange_svc.grant.errors import GrantOver
from exchange_svc.grant.outgoing import while_readable
from exchange_svc.package import domain, making
from exchange_svc.package.store import Package
from exchange_svc.package.worker import Workshop
from exchange_svc.secrets import derived

MASKS = {
    "where": [{"item": "people", "op": "ge", "value": 60000}],
    "masks": [{"item": "name", "mask": "keep", "prefix": 1}],
}


@pytest.fixture
async def workshop(exchange: Any, node: Any, tmp_path: Path) -> Workshop:
    key = signing.load_key(tmp_path / "node.pem")
    sign = partial(signing.sign_jws, key, typ="dxmesh-package+jws")
    return Workshop(node.database, exchange.objects, tmp_path / "packages", "330600", sign, token_keys(derived(key, "pseudonym")))


async def filed(node: Any, resource: Any, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    terms = options.pop("terms", None)
    grant = await node.exchange.granted(resource, **({"terms": terms} if terms else {}))
    return grant, await node.subscribed(grant, {"mode": "file", **options})


async def packed(node: Any, workshop: Workshop, made: dict[str, Any]) -> dict[str, Any]:
    answer = await node.post(made["path"] + "/packages")
    assert answer.status_code == 202, answer.text
    assert await workshop.make_next()
    found: dict[str, Any] = (await node.get(made["path"] + "/packages")).json()[0]
    return found


async def test_a_package_holds_what_the_grant_reads_sealed_and_checkable_offline(node: Any, workshop: Workshop) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    grant, made = await filed(node, resource, terms=MASKS)
    package = await packed(node, workshop, made)
    answer = await node.get(package["link"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert hashlib.sha256(answer.content).hexdigest() == package["sha256"]
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(answer.content).digest()).decode()}:"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["rows.parquet", "manifest.json", "manifest.jws"]
        rows, told, seal = (archive.read(name) for name in archive.namelist())
    assert pl.read_parquet(io.BytesIO(rows)).to_dicts() == [
        {"code": "330602001", "name": "塔***", "people": 81234, "since": pl.Series(["2001-05-01"]).str.to_date()[0]}
    ]
    manifest = json.loads(told)
    [file] = manifest["files"]
    assert (file["sha256"], file["row_count"], file["byte_count"]) == (hashlib.sha256(rows).hexdigest(), 1, len(rows))
    assert (manifest["grant_id"], manifest["node"], manifest["resource_version"]) == (grant["grant_id"], "330600", 1)
    assert manifest["table_version"] == package["table_version"]
    keys = (await exchange.client.get("/.well-known/jwks.json")).json()["keys"]
    verified = jws.deserialize_compact(seal, OKPKey.import_key(keys[0]), algorithms=["EdDSA"])
    assert verified.payload == told, "the seal is over the manifest's bytes"
    [event] = [event for event in await exchange.outbox() if isinstance(event, PackageMade)]
    assert (event.sha256, event.row_count) == (package["sha256"], 1)


async def test_a_download_is_counted_has_a_receipt_and_the_link_ends(node: Any, workshop: Workshop) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    _, made = await filed(node, resource, form="csv", downloads=2)
    asked = (await node.post(made["path"] + "/packages")).json()
    assert (await node.get(asked["link"])).status_code == 409, "it is not made yet"
    assert (await node.post(made["path"] + "/packages")).status_code == 409
    await workshop.make_next()
    link = asked["link"]
    for who in (exchange.provider, exchange.stranger):
        assert (await node.get(link, by=who)).status_code == 404
    assert (await exchange.client.get(link)).status_code == 401
    assert (await node.get(link[:-2] + "xx")).status_code == 404
    first = await node.get(link)
    with zipfile.ZipFile(io.BytesIO(first.content)) as archive:
        assert archive.read("rows.csv").decode() == "code,name,people,since\r\n", "of a table without rows, a package without rows"
    assert (await node.get(link)).status_code == 200
    used = await node.get(link)
    assert (used.status_code, used.json()["type"].rsplit("/", 1)[1]) == (410, "package-gone")
    receipts = [event for event in await exchange.outbox() if isinstance(event, PackageDownloaded)]
    assert [one.downloads_left for one in receipts] == [1, 0]
    assert {(one.by, one.address, one.sha256) for one in receipts} == {
        ("test-client", "127.0.0.1", hashlib.sha256(first.content).hexdigest())
    }
    seen = (await node.get(made["path"] + "/packages", by=exchange.provider)).json()
    assert (seen[0]["link"], seen[0]["downloads_left"]) == (None, 0), "the provider sees that it was fetched, and cannot fetch it"


async def test_a_link_ends_with_its_grant_and_so_does_a_download_that_is_under_way(node: Any, workshop: Workshop) -> None:
    exchange = node.exchange
    grant, made = await filed(node, await exchange.publish())
    package = await packed(node, workshop, made)

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number * 10

    leaving = while_readable(pieces(), exchange.sessions, UUID(grant["grant_id"]), look_bytes=10)
    assert [await anext(leaving), await anext(leaving)] == [b"0" * 10, b"1" * 10]
    assert (await node.get(package["link"])).status_code == 200
    await node.post(f"/v1/grants/{grant['grant_id']}/termination", {"reason": "课题结束"})
    with pytest.raises(GrantOver, match="课题结束"):
        await anext(leaving)
    answer = await node.get(package["link"])
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (403, "grant-over")


async def test_a_package_is_deleted_after_its_term(node: Any, workshop: Workshop) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    _, made = await filed(node, resource)
    package = await packed(node, workshop, made)
    key = f"packages/{package['package_id']}.zip"
    assert {key} <= exchange.keys()
    await workshop.tidy()
    assert {key} <= exchange.keys()
    async with exchange.sessions.begin() as tx:
        over = utc_now() - timedelta(seconds=1)
        await tx.execute(update(Package).where(Package.package_id == UUID(package["package_id"])).values(expires_at=over))
    assert (await node.get(package["link"])).status_code == 410
    await workshop.tidy()
    assert {key}.isdisjoint(exchange.keys())
    assert (await node.get(package["link"])).status_code == 410
    assert (await node.get(made["path"] + "/packages")).json()[0]["state"] == "deleted"


async def test_packages_are_made_by_a_schedule_and_none_of_a_grant_that_is_held(node: Any, workshop: Workshop) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant, made = await filed(node, resource, every_hours=24)
    await workshop.tidy()
    await workshop.tidy()
    suspended = await node.post(f"/v1/grants/{grant['grant_id']}/suspension", {"reason": "核查"}, by=exchange.provider)
    assert suspended.status_code == 201
    assert not await workshop.make_next()
    await node.post(f"/v1/grants/{grant['grant_id']}/resumption", {"reason": "已整改"}, by=exchange.provider)
    assert await workshop.make_next()
    assert not await workshop.make_next(), "one a period"
    [package] = (await node.get(made["path"] + "/packages")).json()
    await node.post(f"/v1/grants/{grant['grant_id']}/suspension", {"reason": "核查"}, by=exchange.provider)
    assert (await node.get(package["link"])).status_code == 403
    assert (await node.post(made["path"] + "/packages")).status_code == 403
    async with exchange.sessions.begin() as tx:
        await tx.execute(update(Package).values(asked_at=utc_now() - timedelta(hours=25)))
    await node.post(f"/v1/grants/{grant['grant_id']}/resumption", {"reason": "已整改"}, by=exchange.provider)
    await workshop.tidy()
    assert await workshop.make_next()
    assert len((await node.get(made["path"] + "/packages")).json()) == 2


async def test_a_large_table_is_written_page_by_page(node: Any, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    body = "code,name,people,since\n" + "".join(f"{n},街道,{n},2001-01-01\n" for n in range(1000))
    await exchange.accepted(resource.resource_id, body.encode())
    await exchange.fold()
    _, made = await filed(node, resource)
    pages = []
    read = making.Lookup.page

    def noted(*given: Any, **options: Any) -> pl.DataFrame:
        pages.append(read(*given, **options))
        return pages[-1]

    monkeypatch.setattr(making, "PAGE_ROWS", 300)
    monkeypatch.setattr(making.Lookup, "page", noted)
    package = await packed(node, workshop, made)
    assert [page.height for page in pages] == [300, 300, 300, 100]
    with zipfile.ZipFile(io.BytesIO((await node.get(package["link"])).content)) as archive:
        rows = pl.read_parquet(io.BytesIO(archive.read("rows.parquet")))
    assert [int(code) for code in rows["code"]] == list(range(1000))


async def test_packages_are_not_for_other_ways_and_other_ways_not_for_packages(node: Any) -> None:
    resource = await node.exchange.publish()
    grant, made = await filed(node, resource)
    hook = await node.hooked(grant, await node.subscriber())
    assert (await node.post(hook["path"] + "/packages")).status_code == 409
    assert (await node.post(made["path"] + "/replay", {})).status_code == 422
    assert (await node.post(made["path"] + "/secret")).status_code == 422
    path = f"/v1/grants/{grant['grant_id']}/subscriptions"
    for wrong in ({"form": "xml"}, {"every_hours": 0}, {"term_hours": 9000}, {"downloads": 0}, {"start": "now"}):
        assert (await node.post(path, {"mode": "file", **wrong})).status_code == 422, wrong
    assert (await node.post(path, {"mode": "topic"})).status_code == 422


async def test_a_table_that_is_not_in_the_new_form_yet_ends_no_worker(node: Any, workshop: Workshop) -> None:
    exchange = node.exchange
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    await exchange.fold()
    _, made = await filed(node, first)
    items = (first.items[0], DataItem(code="name", name="名称", data_type=DataType.INTEGER), *first.items[2:])
    retyped = first.model_copy(update={"version": 2, "items": items})
    await exchange.publish(**{name: getattr(retyped, name) for name in type(retyped).model_fields})
    assert (await node.post(made["path"] + "/packages")).status_code == 202
    assert not await workshop.make_next()
    [package] = (await node.get(made["path"] + "/packages")).json()
    assert (package["state"], package["failure"] is None) == ("waiting", False)


async def test_the_oldest_package_gives_way_to_one_too_many(node: Any, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "MOST_KEPT", 2)
    resource = await node.exchange.publish()
    _, made = await filed(node, resource)
    first, second, third = [await packed(node, workshop, made) for _ in range(3)]
    assert [(await node.get(one["link"])).status_code for one in (first, second, third)] == [410, 200, 200]
    await workshop.tidy()
    states = [one["state"] for one in (await node.get(made["path"] + "/packages")).json()]
    assert states == ["ready", "ready", "deleted"]
