"""Completed deliveries are kept once each, and the tables agree with the migrations."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from dxmesh_runtime.db import connect
from dxmesh_runtime.settings import DatabaseSettings
from dxmesh_runtime.testing import deliver, incoming, schema_diff
from dxmesh_schemas.exchange import DeliveryCompleted
from exchange_svc.delivery import store
from exchange_svc.delivery.consumers import HANDLERS
from exchange_svc.table import store as tables

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)


def completed(**more) -> DeliveryCompleted:
    values = {
        "resource_id": uuid4(),
        "batch_id": uuid4(),
        "sequence": 1,
        "view_id": uuid4(),
        "topic": "dxmesh.view.x",
        "ranges": ((0, 5, 9), (2, 0, 4)),
        "accepted_count": 10,
        "delivered_count": 10,
        "vanished_count": 2,
        "sha256": "ab" * 32,
        "completed_at": AT,
    }
    return DeliveryCompleted(**(values | more))


async def test_a_delivery_is_kept_as_its_event_tells_it(fresh_database):
    database = connect(DatabaseSettings(url=await fresh_database("exchange_svc")))
    first = completed()
    second = completed(batch_id=first.batch_id, completed_at=AT + timedelta(seconds=1), ranges=())
    async with database.sessions() as tx:
        await deliver(database.sessions, HANDLERS, incoming(second), incoming(first))
        rows = await store.list_of_batch(tx, first.batch_id)
    assert [row.view_id for row in rows] == [first.view_id, second.view_id]
    assert rows[0].ranges == [[0, 5, 9], [2, 0, 4]]
    assert (rows[0].accepted_count, rows[0].delivered_count, rows[0].vanished_count) == (10, 10, 2)
    assert (rows[0].sha256, rows[0].completed_at) == ("ab" * 32, AT)
    await database.close()


async def test_a_repeat_changes_nothing_and_a_delivery_done_anew_takes_the_place_of_the_first(fresh_database):
    database = connect(DatabaseSettings(url=await fresh_database("exchange_svc")))
    first = completed()
    anew = first.model_copy(update={"ranges": ((0, 0, 9),), "completed_at": AT + timedelta(minutes=5)})
    for event in (first, anew, first):
        await deliver(database.sessions, HANDLERS, event)
    async with database.sessions() as tx:
        [row] = await store.list_of_batch(tx, first.batch_id)
    assert row.ranges == [[0, 0, 9]]
    await database.close()


async def test_both_in_one_group_leave_the_newest(fresh_database):
    database = connect(DatabaseSettings(url=await fresh_database("exchange_svc")))
    first = completed()
    anew = first.model_copy(update={"ranges": (), "completed_at": AT + timedelta(minutes=5)})
    await deliver(database.sessions, HANDLERS, incoming(first), incoming(anew))
    async with database.sessions() as tx:
        [row] = await store.list_of_batch(tx, first.batch_id)
    assert row.ranges == []
    await database.close()


async def test_the_tables_are_those_of_the_migrations(fresh_database):
    differing = await schema_diff(await fresh_database("exchange_svc"), store.Delivery.metadata)
    mine = {store.Delivery.__tablename__, tables.ResourceTable.__tablename__}
    assert [change for change in differing if any(name in str(change) for name in mine)] == []
