"""The log on PostgreSQL: growth, repeats, crashes, concurrent appenders, and what tampering does."""

import asyncio
from hashlib import sha256
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from audit_svc import worker
from audit_svc.checkpoint import store as checkpoints
from audit_svc.checkpoint.commands import Pace, check_signed
from audit_svc.checkpoint.domain import Head, Signer
from audit_svc.log import commands, domain, store
from audit_svc.log.errors import EntryTooLarge, TreeCorrupt
from audit_svc.rows import Base
from dxmesh_runtime.consumer import Incoming
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.signing import create_key
from dxmesh_runtime.testing import incoming, outbox_events, schema_diff
from dxmesh_schemas.audit import CheckpointPublished
from dxmesh_schemas.catalog_events import SystemRegistered
from dxmesh_schemas.event import Meta

SLOW = Pace(3600, 3600)


def event(number=0, event_id=None):
    return incoming(SystemRegistered(system_id=UUID(int=number), organization_id=UUID(int=1), name=f"系统 {number}"), event_id=event_id)


def unknown(payload=b'{"b":1, "a":2}', event_type="dxmesh.future.thing.happened.v1", **meta):
    return Incoming(Meta(uuid7(), event_type, "/future-svc", utc_now(), **meta), None, payload, "dxmesh.future.thing", 0, 0)


async def stored(log):
    async with log.sessions() as session:
        rows = (await session.scalars(select(store.Entry).order_by(store.Entry.index))).all()
        return rows, await store.get_tree(session), await checkpoints.find_newest(session)


def root_of(rows):
    tiles = domain.append(0, {}, [domain.leaf_hash(row.entry) for row in rows])
    return domain.range_hash((0, len(rows)), tiles)


async def test_the_migrated_schema_is_the_one_the_code_knows(log):
    assert await schema_diff(log.settings.database.url, Base.metadata) == []


async def test_a_new_log_is_the_empty_tree_and_verifies(log):
    await worker.verify(log.database, log.signer)
    rows, tree, newest = await stored(log)
    assert (rows, tree.size, tree.root_hash, newest) == ([], 0, sha256(b"").digest(), None)


async def test_an_event_becomes_an_entry_and_is_signed_at_once_when_the_log_was_idle(log):
    one = event(7)
    await log.record(one, pace=SLOW)
    rows, tree, newest = await stored(log)
    assert [(row.index, row.event_id, row.event_type, row.topic, row.payload) for row in rows] == [
        (0, one.meta.event_id, "dxmesh.catalog.system.registered.v1", "dxmesh.catalog.system", one.payload)
    ]
    assert rows[0].entry == domain.entry_bytes(one.meta, topic=one.topic, key=str(UUID(int=7)), payload=one.payload)
    assert log.signer.open(newest.note) == Head(1, tree.root_hash) == Head(1, domain.leaf_hash(rows[0].entry))


async def test_an_unknown_type_is_recorded_with_its_bytes_as_they_came(log):
    await log.record(unknown(), unknown(b"\xff\x00 not json", subject="x"))
    rows, *_ = await stored(log)
    assert [row.payload for row in rows] == [b'{"b":1, "a":2}', b"\xff\x00 not json"]
    assert b'"subject":"x"' in rows[1].entry
    assert domain.commits_to(rows[1].entry, b"\xff\x00 not json")


async def test_a_repeated_event_is_one_entry_even_when_the_inbox_has_forgotten_it(log):
    one = event(1)
    await log.record(one, one, event(2))
    await log.record(one)
    await log.record(one, event(3), consumer="another inbox")
    rows, tree, _ = await stored(log)
    assert [row.index for row in rows] == [0, 1, 2]
    assert tree.size == 3
    assert tree.root_hash == root_of(rows)


@pytest.mark.parametrize("sizes", [(1, 254, 1, 1), (256, 256), (255, 2, 600), (700,), (1,) * 20])
async def test_growth_over_tile_boundaries_gives_the_root_of_the_entries(log, sizes):
    for size in sizes:
        await log.record(*(event(number) for number in range(size)))
        rows, tree, newest = await stored(log)
        assert tree.size == len(rows)
        assert log.signer.open(newest.note) == Head(len(rows), root_of(rows))
    await worker.verify(log.database, log.signer)


async def test_what_is_appended_faster_than_the_pace_waits_for_the_clock(log):
    await log.record(event(1), pace=SLOW)
    await log.record(event(2), event(3), pace=SLOW)
    _, tree, newest = await stored(log)
    assert (tree.size, newest.size) == (3, 1)
    await worker.sign_once(log.database, log.signer, SLOW)
    assert (await stored(log))[2].size == 1
    await worker.sign_once(log.database, log.signer, Pace(1e-6, 3600))
    rows, _, newest = await stored(log)
    assert log.signer.open(newest.note) == Head(3, root_of(rows))
    assert [found.tree_size for found in await outbox_events(log.sessions)] == [1]
    await worker.sign_once(log.database, log.signer, Pace(3600, 1e-6))
    published = await outbox_events(log.sessions)
    assert [type(found) for found in published] == [CheckpointPublished] * 2
    assert (published[1].tree_size, published[1].checkpoint, published[1].origin) == (3, newest.note, "dxmesh.example/test")
    await worker.sign_once(log.database, log.signer, Pace(1e-6, 1e-6))
    assert len(await outbox_events(log.sessions)) == 2


async def test_the_first_checkpoint_of_an_idle_log_is_of_the_empty_tree(log):
    await worker.sign_once(log.database, log.signer, SLOW)
    newest = (await stored(log))[2]
    assert log.signer.open(newest.note) == Head(0, sha256(b"").digest())


async def test_a_crash_before_the_commit_leaves_nothing_and_the_repeat_is_recorded_once(log):
    await log.record(event(0))
    lost = [event(number) for number in range(1, 400)]

    async def crash():
        async with log.sessions.begin() as tx:
            await commands.append(tx, lost, now=utc_now())
            pid = (await tx.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            async with log.sessions() as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    with pytest.raises(DBAPIError):
        await crash()
    rows, tree, _ = await stored(log)
    assert (len(rows), tree.size) == (1, 1)
    await log.record(*lost)
    await log.record(*lost)
    rows, tree, newest = await stored(log)
    assert [row.event_id for row in rows[1:]] == [item.meta.event_id for item in lost]
    assert (tree.size, newest.root_hash) == (400, root_of(rows))


async def test_appenders_at_the_same_time_never_share_a_place_or_fork_the_tree(log):
    async def appender(base):
        for step in range(12):
            await log.record(*(event(base + step * 37 + number) for number in range(37)), consumer=f"c{base}")

    await asyncio.gather(*(appender(base) for base in range(0, 4000, 1000)))
    await log.record_many()
    rows, tree, newest = await stored(log)
    assert [row.index for row in rows] == list(range(4 * 12 * 37))
    assert log.signer.open(newest.note) == Head(tree.size, root_of(rows))
    await worker.verify(log.database, log.signer)


async def test_checkpoints_are_all_of_one_history(log):
    for size in (1, 3, 250, 7, 256, 90):
        await log.record(*(event(number) for number in range(size)))
    rows, *_ = await stored(log)
    async with log.sessions() as session:
        signed = (await session.scalars(select(checkpoints.Checkpoint).order_by(checkpoints.Checkpoint.size))).all()
    assert [found.size for found in signed] == [1, 4, 254, 261, 517, 607]
    for found in signed:
        assert log.signer.open(found.note) == Head(found.size, root_of(rows[: found.size]))


async def test_attributes_too_long_for_an_entry_are_wrong_data(log):
    with pytest.raises(EntryTooLarge):
        await log.record(unknown(subject="x" * 70_000))
    assert (await stored(log))[1].size == 0


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE tile SET hashes = set_byte(hashes, 39, 255 - get_byte(hashes, 39)) WHERE level = 0 AND number = 1", "give the root"),
        ("UPDATE tile SET hashes = set_byte(hashes, 0, 255 - get_byte(hashes, 0)) WHERE level = 1", "give the root"),
        ("DELETE FROM tile WHERE level = 0 AND number = 1", "missing, or too short"),
        ("UPDATE tile SET hashes = substr(hashes, 1, 32) WHERE level = 0 AND number = 1", "missing, or too short"),
        ("UPDATE tree SET root_hash = '\\x00'", "give the root"),
        ("UPDATE entry SET entry = convert_to('{}', 'UTF8') WHERE index = 299", "entry 299 is not the one in the tree"),
        ("UPDATE entry SET payload = '{}' WHERE index = 299", "the payload of entry 299"),
        ("DELETE FROM entry WHERE index = 299", "entry 299 is missing"),
        (
            "INSERT INTO entry SELECT 300, gen_random_uuid(), event_type, topic, entry, payload, logged_at FROM entry WHERE index = 0",
            "newest entry does not fit",
        ),
        ("UPDATE checkpoint SET note = replace(note, E'\\n300\\n', E'\\n299\\n') WHERE size = 300", "not signed by the key"),
        ("UPDATE checkpoint SET root_hash = '\\x00' WHERE size = 300", "the checkpoint says"),
        ("DELETE FROM checkpoint WHERE size = 300", "the checkpoint says 256"),
        ("DELETE FROM checkpoint", "there is none"),
        ("DELETE FROM tree", "head is missing"),
    ],
)
async def test_tampering_stops_the_log_when_it_starts(log, tampering, finding):
    await log.record(*(event(number) for number in range(256)))
    await log.record(*(event(number) for number in range(44)))
    await worker.verify(log.database, log.signer)
    async with log.sessions.begin() as tx:
        await tx.execute(text(tampering))
    with pytest.raises(TreeCorrupt, match=finding):
        await worker.verify(log.database, log.signer)


async def test_a_log_cut_back_to_an_earlier_state_never_signs_again(log):
    await log.record(*(event(number) for number in range(10)))
    async with log.sessions.begin() as tx:
        before = await store.get_tree(tx)
        tiles = await store.load_tiles(tx, domain.edge(10))
    await log.record(*(event(number) for number in range(5)))
    async with log.sessions.begin() as tx:
        await tx.execute(text("DELETE FROM entry WHERE index >= 10"))
        await store.store_tiles(tx, tiles)
        await store.set_head(tx, 10, before.root_hash)
    with pytest.raises(TreeCorrupt, match="checkpoint says 15"):
        await worker.verify(log.database, log.signer)
    with pytest.raises(TreeCorrupt, match="15 were signed for"):
        await log.record(event(99))


async def test_a_tampered_edge_is_never_built_upon(log):
    await log.record(*(event(number) for number in range(10)))
    async with log.sessions.begin() as tx:
        await tx.execute(text("UPDATE tile SET hashes = set_byte(hashes, 39, 255 - get_byte(hashes, 39))"))
    with pytest.raises(TreeCorrupt, match="do not give the stored root"):
        await log.record(event(99))


async def test_another_key_or_origin_is_refused_on_start(log, tmp_path):
    await log.record(event(1))
    for wrong in (Signer("dxmesh.example/test", create_key(tmp_path / "other.pem")), Signer("dxmesh.example/renamed", log.signer.key)):
        with pytest.raises(TreeCorrupt, match="give the key and origin that the log began with"):
            await worker.verify(log.database, wrong)
    async with log.sessions.begin() as tx:
        assert await check_signed(tx, await store.get_tree(tx), log.signer) is not None
