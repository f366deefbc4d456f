"""O03: what a department's negative list closes is not open, whatever the resource says of itself."""

from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from sqlalchemy import select

from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.catalog_attributes import BasisKind, NonSharingBasis
from dxmesh_schemas.catalog_lists import ListEntryChanged, ListEntryEnded, ListEntryEntered
from dxmesh_schemas.open_data import DatasetPublished, DatasetRefreshed, DatasetRetired
from open_data_svc.dataset import store


def entry(resource: ResourceSnapshot, *, entry_id: UUID, revision: int = 1, **changes: Any) -> ListEntryEntered:
    fields: dict[str, Any] = {
        "kind": "negative",
        "owner": resource.provider,
        "name": "不开放的数据",
        "status": "in_force",
        "resource_id": resource.resource_id,
        "basis": NonSharingBasis(kind=BasisKind.LAW, title="中华人民共和国个人信息保护法", article="第二十八条"),
        "forbids": "opening",
        "changed_at": datetime(2026, 11, 22, tzinfo=UTC),
        "changed_by": "steward",
    }
    kind = {1: ListEntryEntered}.get(revision, ListEntryChanged)
    if (fields | changes)["status"] == "lifted":
        kind = ListEntryEnded
    made: ListEntryEntered = kind(entry_id=entry_id, revision=revision, **fields | changes)
    return made


@pytest.mark.parametrize("forbids", ["opening", "sharing"])
async def test_an_open_dataset_that_comes_on_the_negative_list_is_retired_and_open_again_when_the_entry_is_lifted(
    open_data: Any, forbids: str
) -> None:
    resource = await open_data.opened()
    listed = uuid7()
    await open_data.deliver(entry(resource, entry_id=listed, forbids=forbids))
    retired = (await open_data.events())[-1]
    assert isinstance(retired, DatasetRetired)
    for named in (str(listed), "不开放的数据", "《中华人民共和国个人信息保护法》第二十八条"):
        assert named in retired.reason
    answer = await open_data.client.get(f"/datasets/{retired.name}/v1/{retired.name}.csv")
    assert answer.status_code == 410
    await open_data.advance(resource, open_data.streets(30))
    assert [type(event) for event in await open_data.events()] == [DatasetPublished, DatasetRetired], "nothing is made of it meanwhile"
    await open_data.deliver(entry(resource, entry_id=listed, revision=2, status="lifted", forbids=forbids))
    again = (await open_data.events())[-1]
    assert isinstance(again, DatasetRefreshed)
    assert again.row_count == 30


async def test_what_is_on_the_negative_list_before_it_is_published_is_never_opened(open_data: Any) -> None:
    resource = open_data.resource()
    await open_data.deliver(entry(resource, entry_id=uuid7()))
    await open_data.publish(resource)
    await open_data.advance(resource, open_data.streets(5))
    assert await open_data.events() == []
    async with open_data.sessions() as session:
        assert (await session.scalars(select(store.DatasetFile))).all() == []


async def test_an_item_on_the_negative_list_is_gone_from_the_dataset_and_earlier_versions_are_withheld(open_data: Any) -> None:
    resource = await open_data.opened()
    listed = uuid7()
    await open_data.deliver(entry(resource, entry_id=listed, items=("people",)))
    first, second = await open_data.events()
    left = tuple(code for code in open_data.open_codes if code != "people")
    assert (type(second), second.version, second.items) == (DatasetRefreshed, 2, left)
    assert (await open_data.client.get(f"/datasets/{first.name}/v1/{first.name}.csv")).status_code == 410
    content = (await open_data.client.get(f"/datasets/{first.name}/v2/{first.name}.parquet")).content
    assert pl.read_parquet(BytesIO(content)).columns == list(left)
    await open_data.deliver(entry(resource, entry_id=listed, revision=2, items=open_data.open_codes))
    assert isinstance((await open_data.events())[-1], DatasetRetired), "without any item left nothing is"


async def test_an_older_revision_that_comes_late_or_again_changes_nothing(open_data: Any) -> None:
    resource = await open_data.opened()
    listed = uuid7()
    late = entry(resource, entry_id=listed)
    await open_data.deliver(entry(resource, entry_id=listed, revision=2, status="lifted"), late, late)
    assert [type(event) for event in await open_data.events()] == [DatasetPublished]


@pytest.mark.parametrize("by", ["system", "name"])
async def test_an_entry_closes_a_whole_system_or_what_comes_by_its_name_and_opens_what_it_names_no_more(open_data: Any, by: str) -> None:
    resource = await open_data.opened()
    binds = {"system": {"system_id": resource.system_id}, "name": {"name": resource.name}}[by]
    listed = uuid7()
    await open_data.deliver(entry(resource, entry_id=listed, resource_id=None, **binds))
    assert isinstance((await open_data.events())[-1], DatasetRetired)
    await open_data.deliver(entry(resource, entry_id=listed, revision=2, resource_id=uuid7()))
    assert isinstance((await open_data.events())[-1], DatasetRefreshed)


async def test_a_department_closes_nothing_of_another_and_other_lists_close_nothing(open_data: Any) -> None:
    resource = await open_data.opened()
    other = resource.provider.model_copy(update={"organization_id": uuid7()})
    await open_data.deliver(entry(resource, entry_id=uuid7(), owner=other))
    await open_data.deliver(entry(resource, entry_id=uuid7(), kind="duty", status="pending", basis=None, forbids=None))
    assert [type(event) for event in await open_data.events()] == [DatasetPublished]
