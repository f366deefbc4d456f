"""A batch that was received, in; objects, an assessment and an event, out."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import pytest
from sqlalchemy import func, select

from dxmesh_runtime.consumer import wrong_data
from dxmesh_runtime.testing import schema_diff
from dxmesh_schemas.catalog import CodeSetRef, DataItem, DataType, ItemReference, ResourceSnapshot
from dxmesh_schemas.catalog_events import CodeSetPublished, ResourceChanged, ResourceWithdrawn
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.quality import Outcome
from quality_svc.assessment.errors import BatchDamaged, TableMissing
from quality_svc.assessment.store import Assessment
from quality_svc.catalog.errors import VersionNotArrived
from quality_svc.rows import Base

MakeResource = Callable[..., ResourceSnapshot]
FrameOf = Callable[..., pl.DataFrame]
CODE = DataItem(code="code", name="代码", data_type=DataType.TEXT, length=4)
NAME = DataItem(code="name", name="名称", data_type=DataType.TEXT, required=True)


def rows(*codes: str | None, name: str | None = "街道") -> list[dict[str, Any]]:
    return [{"code": code, "name": name} for code in codes]


async def stored(quality: Any) -> list[Assessment]:
    async with quality.sessions() as session:
        return list(await session.scalars(select(Assessment).order_by(Assessment.assessment_id)))


async def test_the_migrated_schema_is_what_the_code_says(quality: Any) -> None:
    assert await schema_diff(quality.url, Base.metadata) == []


async def test_a_good_batch_is_accepted_as_it_is(quality: Any, make_resource: MakeResource, frame_of: FrameOf) -> None:
    resource = make_resource(CODE, NAME, key=("code",))
    await quality.publish(resource)
    batch = quality.received(resource, frame_of(resource, rows("a", "b")))
    await quality.take(batch)
    [event] = await quality.completed()
    assert event.outcome is Outcome.ACCEPT
    assert event.accepted == batch.rows
    assert event.quarantine is None
    assert (event.received_count, event.quarantined_count) == (2, 0)
    [row] = await stored(quality)
    assert (row.batch_id, row.outcome, row.provider_id) == (batch.batch_id, "accept", resource.provider.organization_id)
    assert row.results == [result.model_dump() for result in event.results]
    assert row.accepted == batch.rows.model_dump()


async def test_bad_rows_are_split_off_and_refused_lines_come_along(quality: Any, make_resource: MakeResource, frame_of: FrameOf) -> None:
    resource = make_resource(CODE, NAME, key=("code",), max_quarantined_ratio=0.5)
    await quality.publish(resource)
    frame = frame_of(resource, [*rows("a", "b", "c"), *rows("a"), *rows("d", name=None)], [1, 2, 4, 5, 6])
    batch = quality.received(resource, frame, refused=[(3, None, "readable")])
    await quality.take(batch)
    [event] = await quality.completed()
    assert event.outcome is Outcome.ACCEPT_PART
    assert event.accepted.row_count + event.quarantined_count == event.received_count == 6
    folder = f"batches/{resource.resource_id}/{batch.batch_id}"
    assert event.accepted.key == f"{folder}/accepted.parquet"
    assert event.quarantine is not None
    assert event.quarantine.key == f"{folder}/quarantine.parquet"
    accepted = quality.read(event.accepted)
    assert accepted.schema == frame.schema
    assert accepted["row_"].to_list() == [1, 2, 4]
    lines = quality.read(event.quarantine)
    assert lines.select("row", "item", "rule").rows() == [(3, None, "readable"), (5, "code", "unique"), (6, "name", "required")]
    assert event.reason == "3 of 6 rows (50 %) are quarantined; the resource allows 50 %"


async def test_only_refused_lines_leave_the_batch_objects_as_they_are(quality: Any, make_resource: MakeResource, frame_of: FrameOf) -> None:
    resource = make_resource(CODE, NAME, max_quarantined_ratio=0.5)
    await quality.publish(resource)
    batch = quality.received(resource, frame_of(resource, rows("a", "b")), refused=[(3, "code", "type"), (3, "name", "type")])
    await quality.take(batch)
    [event] = await quality.completed()
    assert (event.outcome, event.accepted, event.quarantine) == (Outcome.ACCEPT_PART, batch.rows, batch.refused)
    assert (event.received_count, event.quarantined_count) == (3, 1)


async def test_too_many_bad_rows_reject_the_batch_and_keep_the_reasons(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    resource = make_resource(CODE, NAME, key=("code",), max_quarantined_ratio=0.1)
    await quality.publish(resource)
    await quality.take(quality.received(resource, frame_of(resource, rows("a", "toolong", "b"))))
    [event] = await quality.completed()
    assert event.outcome is Outcome.REJECT
    assert quality.read(event.quarantine)["rule"].to_list() == ["length"]
    assert event.accepted.row_count + event.quarantined_count == event.received_count


async def test_a_batch_of_which_nothing_can_be_read_is_rejected(quality: Any, make_resource: MakeResource, frame_of: FrameOf) -> None:
    resource = make_resource(CODE, NAME, max_quarantined_ratio=1)
    await quality.publish(resource)
    await quality.take(quality.received(resource, frame_of(resource, []), refused=[(1, None, "readable")]))
    [event] = await quality.completed()
    assert (event.outcome, event.accepted.row_count, event.quarantined_count) == (Outcome.REJECT, 0, 1)


async def test_the_same_event_again_and_the_same_batch_under_another_event_change_nothing(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    resource = make_resource(CODE, NAME, key=("code",), max_quarantined_ratio=0.5)
    await quality.publish(resource)
    batch, event_id = quality.received(resource, frame_of(resource, rows("a", "a"))), uuid4()
    await quality.take(batch, event_id=event_id)
    await quality.take(batch, event_id=event_id)
    await quality.take(batch)
    await quality.take(batch, batch)
    assert len(await quality.completed()) == len(await stored(quality)) == 1


async def test_a_crash_before_the_commit_leaves_only_objects_that_are_made_again_alike(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    resource = make_resource(CODE, NAME, key=("code",), max_quarantined_ratio=0.5)
    await quality.publish(resource)
    batch = quality.received(resource, frame_of(resource, rows("a", "a", "b")))
    missing = quality.received(resource, frame_of(resource, rows("x")), resource_version=2)
    later = make_resource(CODE, NAME, key=("code",), resource_id=resource.resource_id, version=2)
    with pytest.raises(VersionNotArrived):
        await quality.take(batch, missing)  # one transaction: the first batch's objects may be there, nothing else is
    assert await quality.completed() == []
    await quality.take(batch)
    [event] = await quality.completed()
    first = quality.read(event.accepted)
    await quality.take(ResourceChanged(resource_id=resource.resource_id, resource=later), missing)
    assert [one.batch_id for one in await quality.completed()] == [batch.batch_id, missing.batch_id]
    assert quality.read(event.accepted).equals(first)


async def test_a_leftover_with_other_content_is_neither_replaced_nor_in_the_way(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    resource = make_resource(CODE, NAME, key=("code",), max_quarantined_ratio=0.5)
    await quality.publish(resource)
    batch = quality.received(resource, frame_of(resource, rows("a", "a")))
    left = quality.put(f"batches/{resource.resource_id}/{batch.batch_id}/accepted.parquet", frame_of(resource, rows("z")))
    await quality.take(batch)
    [event] = await quality.completed()
    assert event.accepted.key != left.key
    assert quality.read(event.accepted)["code"].to_list() == ["a"]
    assert quality.read(left)["code"].to_list() == ["z"]


async def test_a_batch_whose_resource_version_has_not_arrived_waits_for_it(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    resource = make_resource(CODE, NAME)
    batch = quality.received(resource, frame_of(resource, rows("a")))
    with pytest.raises(VersionNotArrived, match=str(resource.resource_id)) as raised:
        await quality.take(batch)
    assert not wrong_data(raised.value)  # so the consumer waits and does not park it
    await quality.publish(resource)
    await quality.take(batch)
    assert [event.batch_id for event in await quality.completed()] == [batch.batch_id]


async def test_a_batch_is_checked_against_the_version_it_was_received_under(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    first = make_resource(CODE, NAME)
    second = make_resource(CODE, NAME.model_copy(update={"length": 1}), resource_id=first.resource_id, version=2)
    await quality.publish(first)
    await quality.take(ResourceChanged(resource_id=first.resource_id, resource=second))
    await quality.take(ResourceWithdrawn(resource_id=first.resource_id, reason="合并", withdrawn_at=datetime.now(UTC)))
    await quality.take(quality.received(first, frame_of(first, rows("a"))), quality.received(second, frame_of(second, rows("a"))))
    assert [(event.resource_version, event.outcome) for event in await quality.completed()] == [(1, Outcome.ACCEPT), (2, Outcome.REJECT)]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"key": "batches/none/rows.parquet"}, "is not in the store"),
        ({"sha256": "f" * 64}, "has the digest"),
        ({"row_count": 3}, "refused are not 2"),
    ],
)
async def test_a_damaged_batch_stops_its_partition_loudly(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf, wrong: dict[str, Any], complaint: str
) -> None:
    resource = make_resource(CODE, NAME)
    await quality.publish(resource)
    batch = quality.received(resource, frame_of(resource, rows("a", "b")))
    damaged = batch.model_copy(update={"rows": batch.rows.model_copy(update=wrong)})
    with pytest.raises(BatchDamaged, match=complaint) as raised:
        await quality.take(damaged)
    assert not wrong_data(raised.value)
    assert await quality.completed() == []


async def test_an_object_with_fewer_rows_than_its_event_says_is_damaged(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    resource = make_resource(CODE, NAME)
    await quality.publish(resource)
    batch = quality.received(resource, frame_of(resource, rows("a", "b")))
    damaged = batch.model_copy(update={"rows": batch.rows.model_copy(update={"row_count": 5}), "received_count": 5})
    with pytest.raises(BatchDamaged, match="has 2 rows"):
        await quality.take(damaged)


async def test_waiting_batches_of_several_resources_are_assessed_each_by_itself_and_in_order(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    streets, areas = make_resource(CODE, NAME, key=("code",), max_quarantined_ratio=0.5), make_resource(CODE)
    await quality.publish(streets, areas)
    batches = []
    for number in range(30):
        batches.append(quality.received(streets, frame_of(streets, rows("a", "b", *["a"] * (number % 2)))))
        batches.append(quality.received(areas, frame_of(areas, [{"code": f"{number}"}])))
    batches.append(quality.received(streets, frame_of(streets, rows("a", "b")), kind=BatchKind.UPSERT))
    await quality.take(*batches)
    events = await quality.completed()
    assert [event.batch_id for event in events] == [batch.batch_id for batch in batches]
    bad = [event.quarantined_count for event in events if event.resource_id == streets.resource_id]
    assert bad == [0, 1] * 15 + [0]
    for event in events:
        assert event.accepted.row_count + event.quarantined_count == event.received_count
        quality.read(event.accepted)


async def test_codes_are_those_of_the_newest_or_the_named_version(quality: Any, make_resource: MakeResource, frame_of: FrameOf) -> None:
    newest = DataItem(code="kind", name="类别", data_type=DataType.TEXT, code_set=CodeSetRef(name="street-kind"))
    named = DataItem(code="first", name="类别", data_type=DataType.TEXT, code_set=CodeSetRef(name="street-kind", version=1))
    resource = make_resource(newest, named, max_quarantined_ratio=1)
    await quality.publish(resource)
    frame = frame_of(resource, [{"kind": "镇", "first": "街道"}, {"kind": "乡", "first": "镇"}, {"kind": None, "first": None}])
    await quality.take(quality.received(resource, frame))
    for version, codes in ((1, ("街道",)), (2, ("街道", "镇"))):
        await quality.take(CodeSetPublished(name="street-kind", version=version, title="街道类别", codes=codes))
    await quality.take(quality.received(resource, frame))
    before, after = await quality.completed()
    assert (before.quarantined_count, after.quarantined_count) == (2, 1)
    reasons = quality.read(before.quarantine)["reason"].to_list()
    assert reasons[0].startswith("kind is '镇', and the code set street-kind is not published on this node yet")
    lines = quality.read(after.quarantine)
    assert lines.select("row", "item", "value").rows() == [(2, "kind", "乡"), (2, "first", "镇")]
    assert lines["reason"][1] == "first is '镇', which is no code of version 1 of the code set street-kind"


async def test_references_resolve_in_the_table_of_the_other_resource_as_far_as_it_has_come(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    areas = make_resource(DataItem(code="number", name="代码", data_type=DataType.INTEGER), name="区划")
    area = DataItem(
        code="area", name="区划", data_type=DataType.TEXT, reference=ItemReference(resource_id=areas.resource_id, item="number")
    )
    streets = make_resource(area, max_quarantined_ratio=1)
    await quality.publish(areas, streets)
    frame = frame_of(streets, [{"area": "330602"}, {"area": "330603"}, {"area": None}])
    await quality.take(quality.received(streets, frame))
    await quality.advance(areas, frame_of(areas, [{"number": number} for number in (330602, 330602, None)]))
    await quality.take(quality.received(streets, frame))
    await quality.advance(areas, frame_of(areas, [{"number": 330603}]), sequence=2)
    await quality.take(quality.received(streets, frame))
    none, one, both = await quality.completed()
    assert [event.quarantined_count for event in (none, one, both)] == [2, 1, 0]
    assert "the resource 区划 holds no rows yet" in quality.read(none.quarantine)["reason"][0]
    assert quality.read(one.quarantine)["reason"].to_list() == [
        "area is '330603', which the item number of the resource 区划 does not hold"
    ]


async def test_a_table_version_that_is_gone_makes_the_batch_wait_for_a_newer_one(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    areas = make_resource(CODE, NAME, name="区划")
    area = DataItem(code="area", name="区划", data_type=DataType.TEXT, reference=ItemReference(resource_id=areas.resource_id, item="code"))
    streets = make_resource(area)
    await quality.publish(areas, streets)
    told = await quality.advance(areas, frame_of(areas, rows("a")))
    await quality.take(told.model_copy(update={"table_version": told.table_version + 1}))
    batch = quality.received(streets, frame_of(streets, [{"area": "b"}]))
    with pytest.raises(TableMissing) as raised:
        await quality.take(batch)
    assert not wrong_data(raised.value)
    await quality.advance(areas, frame_of(areas, rows("b")), sequence=2)
    await quality.take(batch)
    assert [event.outcome for event in await quality.completed()] == [Outcome.ACCEPT]


async def test_a_reference_to_an_item_that_is_not_there_fails_with_its_reason(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    areas = make_resource(DataItem(code="number", name="代码", data_type=DataType.INTEGER), name="区划")
    area = DataItem(code="area", name="区划", data_type=DataType.TEXT, reference=ItemReference(resource_id=areas.resource_id, item="gone"))
    streets = make_resource(area, max_quarantined_ratio=1)
    await quality.publish(areas, streets)
    await quality.advance(areas, frame_of(areas, [{"number": 1}]))
    await quality.take(quality.received(streets, frame_of(streets, [{"area": "1"}, {"area": None}])))
    [event] = await quality.completed()
    assert "the resource 区划 has no item gone" in quality.read(event.quarantine)["reason"][0]


async def test_a_snapshot_refers_to_its_own_rows_and_not_to_the_table_it_replaces(
    quality: Any, make_resource: MakeResource, frame_of: FrameOf
) -> None:
    own = UUID(int=77)
    parent = DataItem(code="parent", name="上级", data_type=DataType.TEXT, reference=ItemReference(resource_id=own, item="code"))
    resource = make_resource(CODE, parent, key=("code",), resource_id=own, max_quarantined_ratio=1)
    await quality.publish(resource)
    await quality.advance(resource, frame_of(resource, [{"code": "old", "parent": "old"}]))
    frame = frame_of(resource, [{"code": "a", "parent": "a"}, {"code": "b", "parent": "old"}])
    for kind in (BatchKind.UPSERT, BatchKind.SNAPSHOT):
        await quality.take(quality.received(resource, frame, kind=kind))
    assert [event.quarantined_count for event in await quality.completed()] == [0, 1]


async def test_nothing_is_left_of_files_under_way(quality: Any, make_resource: MakeResource, frame_of: FrameOf) -> None:
    resource = make_resource(CODE, NAME, max_quarantined_ratio=0.5)
    await quality.publish(resource)
    await quality.take(quality.received(resource, frame_of(resource, rows("a", "toolong"))))
    assert list(quality.folder.iterdir()) == []
    async with quality.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Assessment)) == 1
