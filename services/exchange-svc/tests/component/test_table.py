"""Accepted batches are folded into the resource's table, each once, however often and in whatever groups their events come."""

import polars as pl
import pytest
from sqlalchemy import delete

from dxmesh_runtime.testing import deliver, incoming
from dxmesh_schemas.exchange import BatchAccepted, TableAdvanced
from dxmesh_tabular import table
from exchange_svc.batch.errors import RowsMissing
from exchange_svc.batch.store import Batch
from exchange_svc.table import store
from exchange_svc.table.consumers import handlers

HEAD = "code,name,people,since\n"


async def accepted(exchange, resource_id, *bodies: str, kind: str = "upsert") -> list[BatchAccepted]:
    """Push and accept batches; return their events."""
    ids = []
    for body in bodies:
        pushed = await exchange.pushed(resource_id, (HEAD + body).encode(), params={"kind": kind})
        await exchange.accept(pushed["batch_id"])
        ids.append(pushed["batch_id"])
    found = [event for event in await exchange.outbox() if isinstance(event, BatchAccepted)]
    return [event for batch_id in ids for event in found if str(event.batch_id) == batch_id]


async def fold(exchange, *events: BatchAccepted) -> None:
    """Let events come in one group, each under an id of its own."""
    await deliver(exchange.sessions, handlers(exchange.objects), *(incoming(event) for event in events))


async def advanced(exchange) -> list[TableAdvanced]:
    return [event for event in await exchange.outbox() if isinstance(event, TableAdvanced)]


def names(exchange, resource_id) -> dict[str, str]:
    rows: pl.DataFrame = table.scan(exchange.objects, table.table_key(resource_id)).collect()
    return dict(zip(rows["code"].to_list(), rows["name"].to_list(), strict=True))


async def test_a_batch_becomes_rows_of_the_table_and_the_event_says_so(exchange):
    resource = await exchange.publish()
    [event] = await accepted(exchange, resource.resource_id, "1,塔山街道,5,\n2,府山街道,,\n")
    await fold(exchange, event)
    assert names(exchange, resource.resource_id) == {"1": "塔山街道", "2": "府山街道"}
    async with exchange.sessions() as tx:
        row = await store.find(tx, resource.resource_id)
    [told] = await advanced(exchange)
    assert (row.sequence, row.row_count, row.table_key) == (1, 2, f"tables/{resource.resource_id}")
    assert (told.sequence, told.row_count, told.table_key, told.table_version) == (1, 2, row.table_key, row.version)
    assert told.resource_version == 1


async def test_waiting_batches_of_several_resources_are_folded_at_once(exchange):
    one, other = await exchange.publish(), await exchange.publish()
    first = await accepted(exchange, one.resource_id, "1,a,,\n", "1,b,,\n2,c,,\n", "3,d,,\n")
    second = await accepted(exchange, other.resource_id, "9,z,,\n")
    await fold(exchange, first[0], second[0], *first[1:])
    assert names(exchange, one.resource_id) == {"1": "b", "2": "c", "3": "d"}
    assert names(exchange, other.resource_id) == {"9": "z"}
    assert {(event.resource_id, event.sequence) for event in await advanced(exchange)} == {(one.resource_id, 3), (other.resource_id, 1)}


async def test_the_same_event_again_changes_nothing_and_says_nothing(exchange):
    resource = await exchange.publish(key=())
    [event] = await accepted(exchange, resource.resource_id, "1,a,,\n", kind="append")
    await fold(exchange, event)
    await fold(exchange, event)
    assert table.state(exchange.objects, resource.resource_id).row_count == 1
    assert len(await advanced(exchange)) == 1


async def test_a_batch_whose_event_was_lost_is_folded_with_the_next(exchange):
    resource = await exchange.publish()
    events = await accepted(exchange, resource.resource_id, "1,a,,\n", "2,b,,\n", "1,c,,\n")
    await fold(exchange, events[2])
    assert names(exchange, resource.resource_id) == {"1": "c", "2": "b"}
    await fold(exchange, events[0], events[1])
    assert names(exchange, resource.resource_id) == {"1": "c", "2": "b"}
    assert [event.sequence for event in await advanced(exchange)] == [3]


async def test_a_transaction_lost_after_the_delta_commit_is_made_good_without_doubling(exchange):
    resource = await exchange.publish(key=())
    [event] = await accepted(exchange, resource.resource_id, "1,a,,\n2,b,,\n", kind="append")
    await fold(exchange, event)
    async with exchange.sessions.begin() as tx:  # as if the process had died before its commit
        await tx.execute(delete(store.ResourceTable))
    await fold(exchange, event)
    async with exchange.sessions() as tx:
        row = await store.find(tx, resource.resource_id)
    assert (row.sequence, row.row_count) == (1, 2)
    assert table.state(exchange.objects, resource.resource_id).row_count == 2


async def test_deletes_and_snapshots_take_rows_away(exchange):
    resource = await exchange.publish()
    rid = resource.resource_id
    await fold(exchange, *await accepted(exchange, rid, "1,a,,\n2,b,,\n3,c,,\n"))
    await fold(exchange, *await accepted(exchange, rid, "2,b,,\n", kind="delete"))
    assert names(exchange, rid) == {"1": "a", "3": "c"}
    await fold(exchange, *await accepted(exchange, rid, "7,g,,\n", kind="snapshot"))
    assert names(exchange, rid) == {"7": "g"}
    assert (await advanced(exchange))[-1].row_count == 1


async def test_rows_that_are_gone_hold_the_table_up_instead_of_being_left_out(exchange):
    resource = await exchange.publish()
    first, second = await accepted(exchange, resource.resource_id, "1,a,,\n", "2,b,,\n")
    async with exchange.sessions() as tx:
        key = (await tx.get(Batch, first.batch_id)).accepted_ref.key
    content = exchange.objects.get_bytes(key)
    exchange.objects.delete(key)
    with pytest.raises(RowsMissing, match="restore the object") as raised:
        await fold(exchange, second)
    assert raised.value.status == 503
    exchange.objects.put_bytes(key, content)
    await fold(exchange, second)
    assert names(exchange, resource.resource_id) == {"1": "a", "2": "b"}
