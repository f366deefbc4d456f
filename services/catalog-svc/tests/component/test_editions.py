import asyncio
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fastexcel
import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from catalog_svc.app import create_app
from catalog_svc.edition import domain
from dxmesh_runtime.testing import serving
from dxmesh_schemas.catalog_events import EditionPublished

DOCS = Path(__file__).resolve().parents[4] / "docs"


def this_year() -> int:
    return datetime.now(ZoneInfo("Asia/Shanghai")).year


async def published(node: Any, year: int | None = None) -> dict[str, Any]:
    year = year or this_year()
    made: dict[str, Any] = await node.made("/v1/editions", {"year": year, "title": f"公共数据资源目录({year}版)"}, node.authority)
    return made


async def content(node: Any, form: str = "json") -> bytes:
    answer = await node.client.get(f"/v1/editions/{this_year()}/content", params={"format": form}, headers=node.headers(None))
    assert answer.status_code == 200, answer.text
    found: bytes = answer.content
    assert int(answer.headers["content-length"]) == len(found)
    return found


def ran(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


async def test_an_edition_is_verified_offline_with_the_nodes_public_key_alone(node: Any, tmp_path: Path) -> None:
    organization, system = await node.provider()
    await node.published(organization, system)
    await node.published(organization, system, name="低保对象", class_path="3/30/101/01")
    await node.resource(organization, system, name="还是草稿")
    made = await published(node)
    keys = (await node.client.get("/.well-known/jwks.json")).json()
    held = await content(node)

    # from here on nothing of the node is asked
    signed = jws.deserialize_compact(made["signature"], KeySet.import_key_set(keys), algorithms=["EdDSA"])
    statement = json.loads(signed.payload)
    assert signed.headers()["typ"] == domain.TYPE
    assert statement["edition"] == this_year()
    assert statement["iss"] == "http://catalog.test"
    assert hashlib.sha256(held).hexdigest() == statement["content_sha256"] == made["content_sha256"]
    assert len(held) == statement["content_byte_count"]
    lines = held.decode().splitlines()
    snapshots = [json.loads(line) for line in lines]
    assert [one["name"] for one in snapshots] == ["低保对象", "街道办事处名录"], "by resource code, and no draft"
    assert lines == [json.dumps(one, sort_keys=True, ensure_ascii=False, separators=(",", ":")) for one in snapshots]
    assert statement["resource_count"] == 2
    assert statement["item_count"] == sum(len(one["items"]) for one in snapshots)

    for name, file in (("edition.json", json.dumps(made).encode()), ("content.ndjson", held), ("jwks.json", json.dumps(keys).encode())):
        (tmp_path / name).write_bytes(file)
    program = re.search(r"```python\n(.+?)```", (DOCS / "lists.md").read_text(encoding="utf-8"), re.DOTALL)
    assert program is not None
    run = [sys.executable, "-I", "-c", program.group(1)]
    assert (await asyncio.to_thread(ran, run, tmp_path)).stdout == f"edition {this_year()}: 2 resources, signed by http://catalog.test\n"
    (tmp_path / "content.ndjson").write_bytes(held[:-1])
    assert "not the content that was signed" in (await asyncio.to_thread(ran, run, tmp_path)).stderr

    tampered = held.replace("低保".encode(), "高保".encode())
    assert hashlib.sha256(tampered).hexdigest() != statement["content_sha256"]
    head, payload, tail = made["signature"].split(".")
    forged = ".".join((head, payload.replace(payload[20:24], "AAAA"), tail))
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(forged, KeySet.import_key_set(keys), algorithms=["EdDSA"])


async def test_an_edition_stays_as_it_is_whatever_becomes_of_the_catalogue(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    resource = await node.published(organization, system)
    made, held = await published(node), await content(node)
    gone = await node.client.post(
        f"/v1/resources/{resource['resource_id']}/withdrawal", json={"reason": "职责调整"}, headers=node.steward(organization)
    )
    assert gone.status_code == 200
    await node.published(organization, system, name="另一资源")
    again = await node.client.post("/v1/editions", json={"year": this_year(), "title": "再出一版"}, headers=node.authority)
    assert is_problem(again, 409, "edition-taken")["content_sha256"] == made["content_sha256"]
    assert (await node.client.get(f"/v1/editions/{this_year()}", headers=node.headers(None))).json() == made
    assert await content(node) == held
    last = await published(node, this_year() - 1)
    assert last["content_sha256"] != made["content_sha256"]
    listed = (await node.client.get("/v1/editions", params={"limit": 1}, headers=node.headers(None))).json()
    rest = (await node.client.get("/v1/editions", params={"cursor": listed["next_cursor"]}, headers=node.headers(None))).json()
    assert listed["items"] + rest["items"] == [last, made]
    for statement in ("UPDATE edition SET title = 'x'", "DELETE FROM edition", "TRUNCATE edition"):
        with pytest.raises(DBAPIError, match="never changed"):
            async with node.sessions.begin() as tx:
                await tx.execute(text(statement))


async def test_an_edition_is_told_to_the_mesh_once(node: Any) -> None:
    await node.published(*await node.provider())
    body = {"year": this_year(), "title": "目录"}
    answers = await asyncio.gather(*(node.client.post("/v1/editions", json=body, headers=node.authority) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    [event] = [event for event in await node.events() if isinstance(event, EditionPublished)]
    made = (await node.client.get(f"/v1/editions/{this_year()}", headers=node.headers(None))).json()
    told = event.model_dump(mode="json")
    assert {name: told[name] for name in told if name != "published_at"} == {name: made[name] for name in told if name != "published_at"}


async def test_an_edition_is_downloaded_as_a_table_a_row_an_item(node: Any) -> None:
    organization, system = await node.provider()
    resource = await node.published(organization, system, summary="=1+1")
    await published(node)
    rows = list(csv.DictReader(io.StringIO((await content(node, form="csv")).decode("utf-8-sig"))))
    assert [row["信息项名称"] for row in rows] == ["街道代码", "街道名称", "户数"]
    assert {row["信息资源代码"] for row in rows} == {resource["resource_code"]}
    assert {row["信息资源摘要"] for row in rows} == {"'=1+1"}, "no formula"
    whole = await node.client.get(f"/v1/editions/{this_year()}/content", headers=node.headers(None))
    known = node.headers(None) | {"If-None-Match": whole.headers["etag"]}
    again = await node.client.get(f"/v1/editions/{this_year()}/content", headers=known)
    assert (again.status_code, again.content) == (304, b""), "who has it is not sent it again"
    frame = fastexcel.read_excel(await content(node, form="xlsx")).load_sheet(0, dtypes="string").to_polars()
    assert frame["信息项名称"].to_list() == ["街道代码", "街道名称", "户数"]
    assert frame["信息资源摘要"].to_list() == ["=1+1"] * 3
    accepted = await node.client.get(f"/v1/editions/{this_year()}/content", headers=node.headers(None) | {"Accept": "text/csv"})
    assert accepted.headers["content-type"].startswith("text/csv")


async def test_a_signature_of_an_edition_is_no_token(node: Any, is_problem: Any) -> None:
    await node.published(*await node.provider())
    made = await published(node)
    is_problem(await node.client.get("/v1/editions", headers={"Authorization": f"Bearer {made['signature']}"}), 401)


async def test_two_editions_are_compared(node: Any, is_problem: Any, good_entry: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    same = await node.published(organization, system, name="不变的资源")
    changed = await node.published(organization, system)
    gone = await node.published(organization, system, name="要撤销的资源")
    await published(node, this_year() - 1)
    items = [good_item("street_code", length=9, format="division"), good_item("households", data_type="I"), good_item("mayor")]
    entry = good_entry(system, items=items, summary="另一句")
    path = f"/v1/resources/{changed['resource_id']}"
    assert (await node.client.put(path, json=entry, headers=node.steward(organization))).status_code == 200
    await node.put_in_force(changed)
    withdrawn = await node.client.post(
        f"/v1/resources/{gone['resource_id']}/withdrawal", json={"reason": "职责调整"}, headers=node.steward(organization)
    )
    assert withdrawn.status_code == 200
    new = await node.published(organization, system, name="新资源")
    await published(node)

    url, reader = f"/v1/editions/{this_year() - 1}/comparison", node.headers(None)
    found = (await node.client.get(url, params={"with": this_year()}, headers=reader)).json()
    assert (found["before"]["year"], found["after"]["year"]) == (this_year() - 1, this_year())
    assert (found["added_count"], found["removed_count"], found["changed_count"]) == (1, 1, 1)
    rows = {row["change"]: row for row in found["rows"]}
    assert rows["added"]["resource_id"] == new["resource_id"]
    assert (rows["added"]["before_version"], rows["added"]["after_version"]) == (None, 1)
    assert (rows["removed"]["name"], rows["removed"]["provider_name"]) == ("要撤销的资源", "绍兴市民政局")
    assert rows["changed"] | {"resource_code": ""} == {
        "change": "changed", "resource_id": changed["resource_id"], "resource_code": "", "name": "街道办事处名录",
        "provider_name": "绍兴市民政局", "before_version": 1, "after_version": 2, "is_breaking": True, "fields": ["summary"],
        "items_added": ["mayor"], "items_removed": ["street_name"], "items_changed": ["street_code", "households"],
    }  # fmt: skip
    assert same["resource_id"] not in {row["resource_id"] for row in found["rows"]}
    back = (await node.client.get(f"/v1/editions/{this_year()}/comparison", params={"with": this_year() - 1}, headers=reader)).json()
    assert {row["change"]: row["resource_id"] for row in back["rows"]} == {
        "added": gone["resource_id"], "removed": new["resource_id"], "changed": changed["resource_id"],
    }  # fmt: skip
    assert (await node.client.get(f"/v1/editions/{this_year()}/comparison", params={"with": this_year()}, headers=reader)).json()[
        "rows"
    ] == []
    table = await node.client.get(url, params={"with": this_year(), "format": "csv"}, headers=reader)
    lines = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"))))
    assert sorted((line["变化"], line["信息资源名称"], line["删除信息项"]) for line in lines) == [
        ("added", "新资源", ""), ("changed", "街道办事处名录", "street_name"), ("removed", "要撤销的资源", ""),
    ]  # fmt: skip
    is_problem(await node.client.get(url, params={"with": this_year() + 1}, headers=reader), 404, "edition-not-found")
    is_problem(await node.client.get(url, headers=reader), 422)


async def test_a_node_without_a_signing_key_publishes_no_edition(node: Any, is_problem: Any) -> None:
    await node.published(*await node.provider())
    auth = node.settings.auth.model_copy(update={"jwks": json.dumps(node.issuer.key_set())})  # of an issuer elsewhere
    async with serving(create_app(node.settings.model_copy(update={"signing": None, "auth": auth}))) as client:
        refused = await client.post("/v1/editions", json={"year": this_year(), "title": "目录"}, headers=node.authority)
        assert "SIGNING__KEY_FILE" in is_problem(refused, 503, "edition-key-missing")["detail"]
        is_problem(await client.get(f"/v1/editions/{this_year()}", headers=node.authority), 404, "edition-not-found")
    assert not [event for event in await node.events() if isinstance(event, EditionPublished)]
    await published(node)


async def test_what_is_no_edition_is_refused(node: Any, is_problem: Any) -> None:
    empty = await node.client.post("/v1/editions", json={"year": this_year(), "title": "目录"}, headers=node.authority)
    is_problem(empty, 409, "edition-empty")
    organization, system = await node.provider()
    await node.published(organization, system)
    for year in (this_year() + 1, this_year() - 2, 2019):
        wrong = is_problem(
            await node.client.post("/v1/editions", json={"year": year, "title": "目录"}, headers=node.authority),
            422,
            "edition-year-invalid",
        )
        assert [error["pointer"] for error in wrong["errors"]] == ["/year"]
    for body, pointer in (
        ({"year": "MMXXVI", "title": "目录"}, "/year"),
        ({"year": this_year()}, "/title"),
        ({"year": this_year(), "title": "\u200b"}, "/title"),
        ({"year": this_year(), "title": "目录", "content": "x"}, "/content"),
    ):
        answer = await node.client.post("/v1/editions", json=body, headers=node.authority)
        assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]
    is_problem(await node.client.post("/v1/editions", json={"year": this_year(), "title": "目录"}, headers=node.steward(organization)), 403)
    for path in (f"/v1/editions/{this_year()}", f"/v1/editions/{this_year()}/content"):
        is_problem(await node.client.get(path, headers=node.headers(None)), 404, "edition-not-found")
        is_problem(await node.client.get(path), 401)


def test_a_contents_bytes_do_not_depend_on_how_they_came_in_pieces() -> None:
    snapshots = [
        {
            "b": number,
            "a": "字",
            "items": [{"sharing_type": kind} for kind in ("NOT_SHARED", "CONDITIONAL")],
            "provider": {"organization_id": "o"},
        }
        for number in range(500)
    ]
    whole, parts = domain.Content(), domain.Content()
    whole.add(snapshots)
    for start in range(0, 500, 7):
        parts.add(snapshots[start : start + 7])
    assert (whole.sha256, whole.byte_count) == (parts.sha256, parts.byte_count)
    assert b"".join(domain.unpacked(whole.packed())) == b"".join(domain.unpacked(parts.packed()))
    assert (whole.item_count, whole.shareable_item_count, whole.provider_count) == (1000, 500, 1)
    again = domain.Content()
    again.add(snapshots)
    assert list(domain.lines(domain.unpacked(again.packed()))) == snapshots
