"""The delivery worker on a real broker: rows, events, state and offsets arrive together, once, in order."""

import hashlib
import json
from collections import defaultdict
from uuid import uuid4

import polars as pl

from dxmesh_runtime.db import utc_now
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DeliveryCompleted, DispatchEnded, DispatchOrdered
from dxmesh_schemas.exchange_terms import Comparison
from exchange_svc.delivery import members
from exchange_svc.delivery.record_batch import frame as record_frame


def recomputed(records) -> str:
    """The digest as a reader computes it from what it has read."""
    partitions = defaultdict(hashlib.sha256)
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        partitions[record.partition].update(record_frame(record.key, record.value))
    return hashlib.sha256(b"".join(partitions[number].digest() for number in sorted(partitions))).hexdigest()


async def test_a_batch_arrives_with_keys_values_headers_and_its_event(mesh, rows):
    view = mesh.view(uuid4())
    order = mesh.order(view, rows=rows(1, 1000))
    await mesh.publish(order, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    async with mesh.worker():
        [event] = await mesh.all_completed(order)
    records = await mesh.read(view.topic)
    assert {record.partition for record in records} == {0, 1, 2}
    by_row = {int(dict(record.headers)["row"]): record for record in records}
    assert sorted(by_row) == list(range(1, 1001))
    assert by_row[7].key == b"000007"
    assert json.loads(by_row[7].value) == {"code": "000007", "name": "街道7"}
    assert dict(by_row[7].headers) == {"batch": str(order.batch_id).encode(), "schema": view.schema_url.encode(), "row": b"7"}
    assert (event.accepted_count, event.delivered_count, event.sequence, event.topic) == (1000, 1000, 1, view.topic)
    assert event.ranges == tuple(
        (partition, min(offsets), max(offsets))
        for partition in range(3)
        if (offsets := [record.offset for record in records if record.partition == partition])
    )
    assert event.sha256 == recomputed(records)
    carrier = next(record for record in await mesh.read(DeliveryCompleted.TOPIC) if record.value == event.encode())
    meta = Meta.from_headers(carrier.headers)
    assert (meta.event_type, meta.source, carrier.key) == (event.TYPE, "/exchange-svc", str(order.resource_id).encode())
    assert "0af7651916cd43dd8448eb211c80319c" in meta.traceparent


async def test_rows_are_the_same_whether_made_from_columns_or_row_by_row(mesh, rows):
    resource_id = uuid4()
    fast, slow = mesh.view(resource_id), mesh.view(resource_id)
    order = mesh.order(fast, rows=rows(1, 5000))
    async with mesh.worker(columnar=True):
        await mesh.publish(order)
        [columnar] = await mesh.all_completed(order)
    again = order.model_copy(update={"views": (slow,)})
    async with mesh.worker(columnar=False):
        await mesh.publish(again)
        [rowwise] = [event for event in await mesh.all_completed(again) if event.view_id == slow.view_id]
    assert (
        columnar.sha256 == next(event.sha256 for event in await mesh.completions(order) if event.view_id == slow.view_id) == rowwise.sha256
    )
    one, other = await mesh.read(fast.topic), await mesh.read(slow.topic)
    assert [(r.partition, r.offset, r.key, r.value) for r in one] == [(r.partition, r.offset, r.key, r.value) for r in other]


async def test_each_view_gets_its_own_items_and_key(mesh, rows):
    resource_id = uuid4()
    names = mesh.view(resource_id, items=["name"], key=[])
    both = mesh.view(resource_id, items=["name", "code"], key=["name", "code"])
    order = mesh.order(names, both, rows=rows(1, 10))
    async with mesh.worker():
        await mesh.publish(order)
        await mesh.all_completed(order)
    keyless = await mesh.read(names.topic)
    assert sorted(record.value.decode() for record in keyless) == sorted(f'{{"name":"街道{n}"}}' for n in range(1, 11))
    assert {record.key for record in keyless} == {None}
    assert len({record.partition for record in keyless}) == 3
    assert {record.key.decode() for record in await mesh.read(both.topic)} == {f'["街道{n}","{n:06d}"]' for n in range(1, 11)}


async def test_a_deleting_batch_sends_nulls_under_the_keys_of_the_rows(mesh, rows):
    view = mesh.view(uuid4())
    first, second = mesh.order(view, rows=rows(1, 20)), mesh.order(view, rows=rows(5, 2), kind=BatchKind.DELETE)
    async with mesh.worker():
        await mesh.publish(first, second)
        await mesh.all_completed(first, second)
    records = await mesh.read(view.topic)
    partition = {record.key: record.partition for record in records if record.value is not None}
    assert {(record.key, record.partition) for record in records if record.value is None} == {
        (key, partition[key]) for key in (b"000005", b"000006")
    }


async def test_batches_of_a_resource_arrive_in_the_order_they_were_accepted(mesh, rows):
    view = mesh.view(uuid4())
    orders = [mesh.order(view, rows=rows(1, 3)) for _ in range(40)]
    await mesh.publish(*orders)
    async with mesh.worker():
        await mesh.all_completed(*orders)
    wanted = [str(order.batch_id).encode() for order in orders]
    by_key = defaultdict(list)
    for record in await mesh.read(view.topic):
        by_key[record.key].append(dict(record.headers)["batch"])
    assert by_key == dict.fromkeys((b"000001", b"000002", b"000003"), wanted)


async def test_a_dispatch_published_twice_is_delivered_once(mesh, rows):
    view = mesh.view(uuid4())
    orders = [mesh.order(view, rows=rows(1, 5)) for _ in range(3)]
    async with mesh.worker():
        await mesh.publish(*orders, orders[1], orders[2])
        await mesh.all_completed(*orders)
        await mesh.publish(orders[0])
        last = mesh.order(view, rows=rows(1, 5))
        await mesh.publish(last)
        await mesh.all_completed(last)
    async with mesh.worker():  # and also by a worker that was not there the first time
        await mesh.publish(*orders)
        final = mesh.order(view, rows=rows(1, 5))
        await mesh.publish(final)
        await mesh.all_completed(final)
    assert len(await mesh.read(view.topic)) == 5 * 5
    assert len(await mesh.completions(*orders, last, final)) == 5


async def test_a_sequence_used_anew_after_a_restored_backup_is_delivered(mesh, rows):
    view = mesh.view(uuid4())
    before = [mesh.order(view, rows=rows(1, 5)) for _ in range(3)]
    async with mesh.worker():
        await mesh.publish(*before)
        await mesh.all_completed(*before)
        other = mesh.order(view, rows=rows(50, 4), sequence=2)
        await mesh.publish(other)
        await mesh.all_completed(other)
    assert len(await mesh.read(view.topic)) == 3 * 5 + 4


async def test_an_event_that_cannot_be_read_is_parked_and_holds_nothing_up(mesh, rows, until):
    view = mesh.view(uuid4())
    order = mesh.order(view, rows=rows(1, 3))
    headers = Meta(uuid4(), DispatchOrdered.TYPE, "/exchange-svc", order.ordered_at).headers()
    no_event = f"not an event {uuid4()}".encode()
    no_header = f"no header {uuid4()}".encode()
    async with mesh.worker():
        await mesh.publish_bytes(no_event, headers)
        await mesh.publish_bytes(no_header, [])
        await mesh.publish(order)
        await mesh.all_completed(order)

        async def are_parked() -> bool:
            return {record.value for record in await mesh.read(DispatchOrdered.TOPIC + ".dlt")} >= {no_event, no_header}

        await until(are_parked)
    parked = {record.value: dict(record.headers) for record in await mesh.read(DispatchOrdered.TOPIC + ".dlt")}
    assert parked[no_header]["dlt_error"] == b"NotACloudEvent"
    assert b"ce_specversion" in parked[no_header]["dlt_reason"]
    assert parked[no_event]["dlt_error"] == b"ValidationError"


async def test_a_row_too_large_for_a_record_parks_its_dispatch_and_leaves_no_part_of_it(mesh, rows, until):
    view = mesh.view(uuid4())
    large = rows(1, 60_000).with_columns(name=pl.when(pl.col("row_") == 60_000).then(pl.lit("大" * (11 << 20))).otherwise("name"))
    order, after = mesh.order(view, rows=large), mesh.order(view, rows=rows(1, 3))
    async with mesh.worker():
        await mesh.publish(order, after)
        await mesh.all_completed(after)
        assert await mesh.completions(order) == []
    assert {dict(record.headers)["batch"] for record in await mesh.read(view.topic)} == {str(after.batch_id).encode()}
    parked = [record for record in await mesh.read(DispatchOrdered.TOPIC + ".dlt") if record.value == order.encode()]
    assert [dict(record.headers)["dlt_error"] for record in parked] == [b"RecordTooLarge"]


async def test_missing_or_changed_rows_stall_their_partition_until_they_are_back(mesh, rows, until):
    from exchange_svc.delivery.lane import stalled

    view = mesh.view(uuid4())
    order = mesh.order(view, rows=rows(1, 8))
    path = mesh.folder / order.rows.key
    content = path.read_bytes()

    async def is_stalled() -> bool:
        return any(stalled.labels(partition)._value.get() for partition in range(3))

    path.unlink()
    async with mesh.worker():
        await mesh.publish(order)
        await until(is_stalled)
    path.write_bytes(b"PAR1" + content[4:-4] + b"PAR?")
    async with mesh.worker():
        await until(is_stalled)
        assert await mesh.read(view.topic) == []
        path.write_bytes(content)
        await mesh.all_completed(order)
    assert len(await mesh.read(view.topic)) == 8


async def test_a_batch_without_rows_completes_without_records(mesh, rows):
    view = mesh.view(uuid4())
    order = mesh.order(view, rows=rows(1, 0))
    async with mesh.worker():
        await mesh.publish(order)
        [event] = await mesh.all_completed(order)
    assert (event.delivered_count, event.ranges, event.sha256) == (0, (), hashlib.sha256(b"").hexdigest())
    assert await mesh.read(view.topic) == []


async def test_a_batch_beyond_one_transaction_s_limit_is_not_cut(mesh, rows):
    resource_id = uuid4()
    views = [mesh.view(resource_id) for _ in range(3)]
    orders = [mesh.order(*views, rows=rows(1, 700)) for _ in range(2)]
    await mesh.publish(*orders)
    async with mesh.worker(transaction_rows=500):
        events = await mesh.all_completed(*orders)
    assert len(events) == 6
    for view in views:
        assert len(await mesh.read(view.topic)) == 1400


async def test_a_snapshot_deletes_the_keys_that_readers_of_a_plain_view_have_and_it_has_not(mesh, rows):
    view, blind = mesh.view(uuid4()), mesh.view(uuid4(), key=())
    blind = blind.model_copy(update={"resource_id": view.resource_id})
    kinds = (BatchKind.SNAPSHOT, BatchKind.UPSERT, BatchKind.SNAPSHOT, BatchKind.SNAPSHOT, BatchKind.SNAPSHOT, BatchKind.SNAPSHOT)
    sizes = ((1, 6), (5, 4), (3, 3), (1, 4), (1, 0), (1, 2))
    orders = [mesh.order(view, blind, rows=rows(*size), kind=kind) for kind, size in zip(kinds, sizes, strict=True)]
    async with mesh.worker():
        await mesh.publish(*orders)  # they wait together, and each sees what the one before it left
        events = [event for event in await mesh.all_completed(*orders) if event.view_id == view.view_id]
    assert [(event.delivered_count, event.vanished_count) for event in events] == [(6, 0), (4, 0), (3, 5), (4, 1), (0, 4), (2, 0)]
    assert all(event.accepted_count == event.delivered_count for event in events)
    found = await mesh.read(view.topic)
    gone = {2: {1, 2, 6, 7, 8}, 3: {5}, 4: {1, 2, 3, 4}}
    for number, (event, (first, count)) in enumerate(zip(events, sizes, strict=True)):
        mine = [record for record in found if dict(record.headers)["batch"].decode() == str(event.batch_id)]
        named = sorted(int(dict(record.headers)["row"]) for record in mine)
        assert named == list(range(first, first + count + event.vanished_count)), "deletions have the numbers behind the batch's rows"
        assert {int(record.key) for record in mine if record.value is None} == gone.get(number, set())
        assert event.sha256 == recomputed(mine)
    copy = {record.key: record.value for record in found}
    assert sorted(int(key) for key, value in copy.items() if value is not None) == [1, 2]
    assert not [record for record in await mesh.read(blind.topic) if record.value is None], "where nothing names a row none is deleted"


async def test_what_is_kept_of_a_view_that_closed_is_removed_behind_all_that_waits_for_it(mesh, rows, until, monkeypatch):
    where = (Comparison(item="name", op="ne", value="hidden"),)
    closed, other = [mesh.view(uuid4()).model_copy(update={"where": where}) for _ in range(2)]
    other = other.model_copy(update={"resource_id": closed.resource_id})
    first = mesh.order(closed, other, rows=rows(1, 10))
    hidden = mesh.order(closed, other, rows=rows(1, 3).with_columns(name=pl.lit("hidden")))
    later = mesh.order(other, rows=rows(4, 3).with_columns(name=pl.lit("hidden")))
    ended = DispatchEnded(resource_id=closed.resource_id, view_id=closed.view_id, ended_at=utc_now())
    async with mesh.worker():
        await mesh.publish(first, hidden, ended, first, later)
        events = await mesh.all_completed(first, hidden, later)
    assert [event.delivered_count for event in events] == [10, 10, 3, 3, 3], "what waited before it came, and a repeat behind it did not"
    assert all(_kept(mesh, view) for view in (closed, other)), (
        "a broker that lost power may come back with an older record: a while both stay"
    )
    monkeypatch.setattr(members, "_GRACE_SECONDS", 0.0)
    last = mesh.order(other, rows=rows(1, 10), kind=BatchKind.DELETE)
    async with mesh.worker():

        async def is_gone() -> bool:
            return not _kept(mesh, closed)

        await until(is_gone)
        await mesh.publish(first, last)  # a repeat finds nothing of the view, and holds nothing up
        [told] = await mesh.all_completed(last)
    assert told.delivered_count == 4


def _kept(mesh, view) -> list[str]:
    return [one.key for one in mesh.store.list_objects(f"members/{view.view_id}")]
