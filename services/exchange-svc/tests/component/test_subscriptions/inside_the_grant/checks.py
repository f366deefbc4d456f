"""A look at every way by which rows leave."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from decimal import Decimal

import polars as pl

from .cases import POOLS, Row
from .oracle import Reader, Resource, Terms
from .world import World, must_stand

FORMS = ("json", "ndjson", "csv", "parquet", "arrow")


def check_records(
    resource: Resource, reader: Reader, way: str, terms: Terms, records: Iterable[tuple[str, int, str | None, Row | None]]
) -> Row:
    """Judge records (batch, row, key, value) one by one, and return the copy that a reader has who applies them in order."""
    copy: Row = reader.grant.setdefault("copy", {}).setdefault(way, {})
    names = terms.names
    wider = reader.terms[: reader.terms.index(terms) + 1]
    for batch_id, number, key, value in records:
        batch = resource.batches[batch_id]
        if value is not None:
            row = batch.rows[number - 1]
            assert batch.kind != "delete"
            assert reader.matches(way, terms.leaves(row, batch.shared), value), (way, terms, row, value)
            assert key == (reader.key_text(way, row, names) if names else None)
        elif key is not None:
            seen = [
                row
                for one in resource.batches.values()
                for row in one.rows
                for old in wider
                if old.leaves(row, one.shared) or not terms.where
            ]
            assert key in {reader.key_text(way, row, names) for row in seen}, (way, "a key that nobody was entitled to", key)
        copy[key if names else (batch_id, number)] = value
    return copy


def check_copy(resource: Resource, reader: Reader, way: str, terms: Terms, copy: Row) -> None:
    """Say that a reader has, in the end, all of what the grant lets out and nothing else."""
    told = [value for value in copy.values() if value is not None]
    assert_same(reader, way, [left for _, left in resource.copy_of(terms)], told)
    if terms.names:
        assert {key for key, value in copy.items() if value is not None} == {
            reader.key_text(way, row, terms.names) for row, _ in resource.copy_of(terms)
        }


def assert_same(reader: Reader, way: str, expected: list[Row], got: list[Row]) -> None:
    """Say that rows are these, in whatever order."""
    left = list(got)
    for row in expected:
        found = next((one for one in left if reader.matches(way, row, one)), None)
        assert found is not None, f"{way}: {row} is not there; {reader.terms[-1]}; {left}"
        left.remove(found)
    assert not left, f"{way}: {left} is outside; {reader.terms[-1]}"


async def check(world: World, resource: Resource, reader: Reader) -> None:
    node, terms, grant_id = world.node, reader.terms[-1], reader.grant["grant_id"]
    by = node.exchange.steward(reader.by)
    reader.grant["copy"] = {}
    for one in reader.terms:
        found = await world.records(one.topic)
        for row in found:
            version = resource.batches[row.batch].version
            named = f"version={version}" if one.masks else ("/schema.json", "/2")[version - 1]
            assert row.schema.endswith(named), "a reader learns from each record by which version it is to be read"
        records = [
            (row.batch, row.number, row.key, None if row.value is None else json.loads(row.value, parse_float=Decimal)) for row in found
        ]
        reader.grant["copy"].pop("topic", None)
        copy = check_records(resource, reader, "topic", one, records)
    check_copy(resource, reader, "topic", terms, copy)
    seen, cursor, is_end = [], None, False
    while not is_end:
        params = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = await node.exchange.client.get(f"/v1/grants/{grant_id}/changes", params=params, headers=by)
        page = json.loads(page.content, parse_float=Decimal)
        cursor, is_end = page["next_cursor"], page["is_end"]
        seen += [(one["batch_id"], one["row"], one["key"], one["value"]) for one in page["items"]]
    check_copy(resource, reader, "topic", terms, check_records(resource, reader, "topic", terms, seen))
    await check_pull(world, resource, reader, by)
    await check_package(world, resource, reader)
    await check_verification(world, resource, reader, by)
    await (check_webhook if reader.mode == "webhook" else check_table)(world, resource, reader)


def rows_now(resource: Resource, terms: Terms) -> list[Row]:
    if not {one["item"] for one in terms.where} <= resource.shared:
        return []
    return [left for row in resource.rows() if (left := terms.leaves(row, resource.shared)) is not None]


async def check_pull(world: World, resource: Resource, reader: Reader, by: Row) -> None:
    expected = rows_now(resource, reader.terms[-1])
    place = [one for other in world.resources for one in other.readers].index(reader)
    for form in (FORMS[place % 5], FORMS[(place + 1) % 5]):  # each form by a reader or two
        found: list[Row] = []
        cursor = None
        while True:
            params = {"limit": 3, "format": form} | ({"cursor": cursor} if cursor else {})
            answer = await world.node.exchange.client.get(f"/v1/grants/{reader.grant['grant_id']}/rows", params=params, headers=by)
            assert answer.status_code == 200, answer.text
            found += read(form, answer.content)
            cursor = answer.headers.get("next-cursor")
            if cursor is None:
                break
        assert_same(reader, "table", expected, found)


def read(form: str, content: bytes) -> list[Row]:
    match form:
        case "json":
            return list(json.loads(content, parse_float=Decimal)["items"])
        case "ndjson":
            return [json.loads(line, parse_float=Decimal) for line in content.decode().split("\n") if line]
        case "csv":
            head, *lines = csv.reader(io.StringIO(content.decode(), newline=""))
            return [dict(zip(head, line or [""], strict=True)) for line in lines]  # one column without a value is an empty line
        case "parquet":
            return pl.read_parquet(io.BytesIO(content)).to_dicts()
    return pl.read_ipc_stream(io.BytesIO(content)).to_dicts()


async def check_package(world: World, resource: Resource, reader: Reader) -> None:
    asked = (await world.node.post(reader.grant["package"] + "/packages", by=reader.by)).json()
    assert await world.workshop.make_next()
    answer = await world.node.get(asked["link"], by=reader.by)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        name = archive.namelist()[0]
        assert_same(reader, "table", rows_now(resource, reader.terms[-1]), read(name.rsplit(".", 1)[1], archive.read(name)))


async def check_verification(world: World, resource: Resource, reader: Reader, by: Row) -> None:
    terms = reader.terms[-1]
    client, path = world.node.exchange.client, f"/v1/grants/{reader.grant['grant_id']}"
    passing = rows_now(resource, terms)
    if terms.names == [("code", False)]:
        questions = [{"conditions": [{"item": "code", "op": "eq", "value": code}]} for code in POOLS["code"]]
        answer = await client.post(f"{path}/verification", json={"questions": questions}, headers=by)
        assert answer.status_code == 200, answer.text
        assert answer.json()["answers"] == [any(row["code"] == code for row in passing) for code in POOLS["code"]]
    answer = await client.post(f"{path}/count", json={"questions": [{"conditions": []}]}, headers=by)
    [told] = answer.json()["counts"]
    assert told["count"] in (None, len(passing))


async def check_webhook(world: World, resource: Resource, reader: Reader) -> None:
    events = [event for call in reader.subscriber.taken for event in json.loads(call.body, parse_float=Decimal)]
    for terms in reader.terms:
        mine = [event for event in events if event["source"].endswith(terms.topic.removeprefix("dxmesh.view."))]
        told = [(*event["id"].split("/"), event.get("subject"), event.get("data")) for event in mine]
        if not terms.names or terms.names != reader.terms[0].names:
            reader.grant["copy"].pop("topic", None)
        copy = check_records(resource, reader, "topic", terms, [(batch, int(number), key, value) for batch, number, key, value in told])
    check_copy(resource, reader, "topic", reader.terms[-1], copy)


async def check_table(world: World, resource: Resource, reader: Reader) -> None:
    if must_stand(reader):
        return
    terms = reader.terms[-1]
    found = [dict(row) for row in await world.connection.fetch(f'SELECT * FROM "{reader.table}"')]
    items = [code for code in terms.items if code in resource.shared]
    expected = [{code: left.get(code) for code in items} for _, left in resource.copy_of(terms)]
    assert_same(reader, "topic", expected, [{code: row[code] for code in items} for row in found])
    if len(reader.terms) > 1:
        assert all(row[code] is None for row in found for code in row if code not in terms.items), "items that are granted no more"
