"""What the log gives out over HTTP: tiles, checkpoint, receipts, entries, proofs; and to whom."""

import json
from base64 import b64decode
from uuid import UUID

import pytest
from sqlalchemy import text

from audit_svc.checkpoint.commands import Pace
from audit_svc.log import domain
from dxmesh_client.receipt import ReceiptInvalid, verify
from dxmesh_runtime.consumer import Incoming
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.testing import incoming
from dxmesh_schemas.catalog_events import SystemRegistered
from dxmesh_schemas.event import Meta

OWNER = UUID(int=0xA)
SLOW = Pace(3600, 3600)


def system(number, organization_id=OWNER):
    return incoming(SystemRegistered(system_id=UUID(int=number), organization_id=organization_id, name=f"系统 {number}"))


def raw(payload: dict | bytes, event_type="dxmesh.future.thing.happened.v1"):
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Incoming(Meta(uuid7(), event_type, "/future-svc", utc_now()), None, data, "dxmesh.future.thing", 0, 0)


async def log_key(client):
    answer = await client.get("/v1/log-key")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.text


async def test_receipts_at_every_place_of_two_tiles_and_a_rest_verify_offline(log, client, auditor):
    events = [system(number) for number in range(521)]
    await log.record_many(*events, size=300)
    key = await log_key(client)
    for index, event in enumerate(events):
        answer = await client.get(f"/v1/receipts/{event.meta.event_id}", headers=auditor)
        found = verify(answer.content, key)
        assert (found.index, found.tree_size, found.event_id, found.payload) == (index, 521, event.meta.event_id, event.payload)


async def test_a_served_receipt_with_a_changed_byte_is_refused(log, client, auditor):
    events = [system(number) for number in range(3)]
    await log.record_many(*events)
    content = (await client.get(f"/v1/receipts/{events[1].meta.event_id}", headers=auditor)).content
    key = await log_key(client)
    for at in range(len(content)):
        with pytest.raises(ReceiptInvalid):
            verify(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], key)


async def test_a_receipt_is_not_there_before_a_checkpoint_covers_the_event(log, client, auditor):
    await log.record(system(0), pace=SLOW)
    late = system(1)
    await log.record(late, pace=SLOW)
    for event_id in (late.meta.event_id, uuid7()):
        answer = await client.get(f"/v1/receipts/{event_id}", headers=auditor)
        assert (answer.status_code, answer.headers["retry-after"]) == (404, "1")
        assert answer.json()["type"].endswith("/no-such-receipt")
    await log.record_many()
    assert (await client.get(f"/v1/receipts/{late.meta.event_id}", headers=auditor)).status_code == 200


@pytest.mark.parametrize(
    "payload",
    [
        {"organization_id": str(OWNER)},
        {"provider": {"organization_id": str(OWNER), "name": "x"}},
        {"requester": {"organization_id": str(OWNER)}, "provider": {"organization_id": str(UUID(int=0xC))}},
        {"resource": {"provider": {"organization_id": str(OWNER)}}},
    ],
)
async def test_a_receipt_is_for_those_the_event_names(log, client, steward, tokens, payload):
    event = raw(payload)
    await log.record_many(event)
    path = f"/v1/receipts/{event.meta.event_id}"
    assert (await client.get(path, headers=steward(OWNER))).status_code == 200
    assert (await client.get(path, headers=tokens.issue(None, "authority"))).status_code == 200
    foreign = await client.get(path, headers=steward(UUID(int=0xB)))
    absent = await client.get(f"/v1/receipts/{uuid7()}", headers=steward(UUID(int=0xB)))
    assert foreign.status_code == absent.status_code == 404
    assert {**foreign.json(), "detail": "", "instance": ""} == {**absent.json(), "detail": "", "instance": ""}
    assert (await client.get(path, headers=tokens.issue(None, "operator"))).status_code == 404
    assert (await client.get(path)).status_code == 401
    assert (await client.get("/v1/entries/0", headers=steward(OWNER))).status_code == 200
    assert (await client.get("/v1/entries/0", headers=steward(UUID(int=0xB)))).status_code == 404


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no json",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"null",
        b'{"provider": "x", "organization_id": 5, "resource": {"provider": []}}',
        b'{"organization_id": "no id", "batch_id": "x"}',
    ],
)
async def test_a_payload_that_names_nobody_is_for_the_auditor_alone(log, client, steward, auditor, payload):
    event = raw(payload)
    await log.record_many(event)
    path = f"/v1/receipts/{event.meta.event_id}"
    assert (await client.get(path, headers=steward(OWNER))).status_code == 404
    assert verify((await client.get(path, headers=auditor)).content, await log_key(client)).payload == payload


@pytest.mark.parametrize("event_id", ["x", "1", "00000000-0000-0000-0000-00000000000g"])
async def test_an_id_that_is_none_is_named(client, auditor, event_id):
    answer = await client.get(f"/v1/receipts/{event_id}", headers=auditor)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "path:event_id"


async def test_an_entry_is_given_with_its_bytes_and_attributes(log, client, auditor):
    await log.record_many(system(1), system(2))
    found = (await client.get("/v1/entries/1", headers=auditor)).json()
    assert (found["index"], found["event_type"], found["topic"]) == (1, "dxmesh.catalog.system.registered.v1", "dxmesh.catalog.system")
    assert json.loads(b64decode(found["payload"]))["name"] == "系统 2"
    assert json.loads(b64decode(found["entry"])) == found["attributes"]
    assert b64decode(found["leaf_hash"]) == domain.leaf_hash(b64decode(found["entry"]))
    assert (await client.get("/v1/entries/2", headers=auditor)).status_code == 404
    for wrong in ("-1", "x", str(1 << 63)):
        assert (await client.get(f"/v1/entries/{wrong}", headers=auditor)).status_code == 422


async def test_the_checkpoint_and_tiles_rebuild_the_tree(log, client):
    await log.record_many(*(system(number) for number in range(600)))
    checkpoint = await client.get("/checkpoint")
    assert checkpoint.headers["cache-control"] == "no-cache"
    head = log.signer.open(checkpoint.text)
    assert head.size == 600
    entries, hashes = [], b""
    for path in ("000", "001", "002.p/88"):
        tile = await client.get(f"/tile/0/{path}")
        bundle = await client.get(f"/tile/entries/{path}")
        for answer in (tile, bundle):
            assert answer.headers["content-type"] == "application/octet-stream"
            assert "immutable" in answer.headers["cache-control"]
        hashes += tile.content
        rest = bundle.content
        while rest:
            size = int.from_bytes(rest[:2], "big")
            entries.append(rest[2 : 2 + size])
            rest = rest[2 + size :]
    assert [domain.leaf_hash(entry) for entry in entries] == [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    tiles = domain.append(0, {}, [domain.leaf_hash(entry) for entry in entries])
    assert domain.range_hash((0, 600), tiles) == head.root_hash
    assert (await client.get("/tile/1/000.p/2")).content == tiles[domain.TileId(1, 0)]
    assert (await client.get("/tile/0/000.p/5")).content == hashes[: 5 * 32]


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/002",
        "/tile/0/002.p/89",
        "/tile/0/003.p/1",
        "/tile/1/000",
        "/tile/1/000.p/3",
        "/tile/2/000.p/1",
        "/tile/8/000",
        "/tile/00/000",
        "/tile/-1/000",
        "/tile/x/000",
        "/tile/0/0",
        "/tile/0/abc",
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/0/x000/000",
        "/tile/entries/002",
        "/tile/entries/x",
        "/tile/9999999999999/000",
        "/tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "/tile/%EF%BC%91/000",
    ],
)
async def test_a_tile_that_the_checkpoint_does_not_cover_or_that_is_misspelt_is_not_there(log, client, path):
    await log.record_many(*(system(number) for number in range(600)))
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith("/no-such-tile")


async def test_what_is_not_signed_yet_is_in_no_tile(log, client):
    await log.record(system(0), pace=SLOW)
    await log.record(system(1), pace=SLOW)
    assert (await client.get("/tile/0/000.p/1")).status_code == 200
    assert (await client.get("/tile/0/000.p/2")).status_code == 404
    assert (await client.get("/tile/entries/000.p/2")).status_code == 404


def verify_consistency(old, new, old_root, new_root, proof):
    """RFC 9162 section 2.1.4.2."""
    if old == new:
        assert not proof
        assert old_root == new_root
        return
    if old & (old - 1) == 0:
        proof = [old_root, *proof]
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for step in proof[1:]:
        assert sn
        if fn & 1 or fn == sn:
            fr, sr = domain.node_hash(step, fr), domain.node_hash(step, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = domain.node_hash(sr, step)
        fn, sn = fn >> 1, sn >> 1
    assert (sn, fr, sr) == (0, old_root, new_root)


async def test_any_two_checkpoints_are_consistent(log, client):
    signed = {}
    for size in (1, 1, 6, 200, 48, 1, 255, 300):
        await log.record(*(system(number) for number in range(size)))
        head = log.signer.open((await client.get("/checkpoint")).text)
        signed[head.size] = head.root_hash
    assert list(signed) == [1, 2, 8, 208, 256, 257, 512, 812]
    for old in signed:
        for new in signed:
            answer = await client.get("/v1/consistency", params={"from": old, "to": new})
            if old > new:
                assert answer.status_code == 422
                continue
            found = answer.json()
            assert (b64decode(found["from_root"]), b64decode(found["to_root"])) == (signed[old], signed[new])
            verify_consistency(old, new, signed[old], signed[new], [b64decode(step) for step in found["proof"]])
    assert (await client.get("/v1/consistency", params={"from": 3})).json()["to_size"] == 812


@pytest.mark.parametrize("params", [{}, {"from": 0}, {"from": "x"}, {"from": 5, "to": 4}, {"from": 1, "to": 100}, {"from": 100}])
async def test_a_consistency_proof_between_sizes_that_never_were_is_refused(log, client, params):
    await log.record_many(*(system(number) for number in range(9)))
    answer = await client.get("/v1/consistency", params=params)
    assert answer.status_code == 422
    assert answer.json()["detail"]


async def test_before_the_first_checkpoint_the_log_says_to_come_again(client, auditor):
    for path in ("/checkpoint", "/v1/consistency?from=1"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await client.get("/tile/0/000.p/1")).status_code == 404
    assert (await client.get("/v1/entries/0", headers=auditor)).status_code == 404
    assert (await client.get("/v1/check", headers=auditor)).json() == {"first": 0, "checked_count": 0, "faults": [], "next": None}


async def test_the_check_finds_a_changed_row_and_names_it(log, client, auditor, steward):
    await log.record_many(*(system(number) for number in range(600)))
    assert (await client.get("/v1/check", headers=auditor)).json() == {"first": 0, "checked_count": 600, "faults": [], "next": None}
    part = (await client.get("/v1/check", headers=auditor, params={"limit": 256})).json()
    assert (part["checked_count"], part["next"]) == (256, 256)
    async with log.sessions.begin() as tx:
        await tx.execute(text("UPDATE entry SET payload = convert_to('{}', 'UTF8') WHERE index = 5"))
        await tx.execute(text("UPDATE entry SET entry = convert_to('{}', 'UTF8') WHERE index = 300"))
        await tx.execute(text("DELETE FROM entry WHERE index = 599"))
    found = (await client.get("/v1/check", headers=auditor)).json()["faults"]
    assert [(fault["index"], fault["reason"].partition(" ")[0]) for fault in found] == [
        (5, "the"),
        (300, "entry"),
        (300, "the"),
        (599, "entry"),
    ]
    async with log.sessions.begin() as tx:
        await tx.execute(text("UPDATE tile SET hashes = set_byte(hashes, 39, 255 - get_byte(hashes, 39)) WHERE level = 1"))
    found = (await client.get("/v1/check", headers=auditor, params={"first": 256, "limit": 256})).json()["faults"]
    assert {"index": 256, "reason": "tile 0/1 is not the one in the tree"} in found
    assert (await client.get("/v1/check", headers=steward(OWNER))).status_code == 403
    assert (await client.get("/v1/check", headers=auditor, params={"first": 100})).status_code == 422


async def test_the_dashboard_shows_the_log_and_asks_strangers_to_sign_in(log, client, tokens):
    await log.record_many(system(1), raw(b"x", event_type="dxmesh.future.<script>.v1"))
    assert (await client.get("/dashboard")).status_code == 303
    page = await client.get("/dashboard", headers=tokens.issue(None, "operator"))
    assert page.status_code == 200
    assert "catalog.system.registered.v1" in page.text
    assert "future.&lt;script&gt;.v1" in page.text
    assert log.signer.log_key.partition("+")[0] in page.text


async def test_the_page_of_an_empty_log_is_a_page_too(client, tokens):
    assert (await client.get("/dashboard", headers=tokens.issue(None, "operator"))).status_code == 200


async def test_the_interface_is_described(client):
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {
        "/checkpoint",
        "/tile/{level}/{path}",
        "/tile/entries/{path}",
        "/v1/receipts/{event_id}",
        "/v1/entries/{index}",
        "/v1/ledger",
    } <= set(paths)
