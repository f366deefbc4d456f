"""What may be opened, what a dataset is called, and when a new version is due."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_schemas.catalog import DataItem, DataType, OpenType, OrganizationRef, ResourceSnapshot, SharingType, UpdateCycle
from open_data_svc.dataset import domain
from open_data_svc.dataset.domain import Made


def item(code: str, **more: Any) -> DataItem:
    return DataItem(code=code, name=code, data_type=DataType.TEXT, **more)


def resource(*items: DataItem, open_type: OpenType = OpenType.UNCONDITIONAL, key: tuple[str, ...] = ()) -> ResourceSnapshot:
    return ResourceSnapshot(
        resource_id=uuid4(),
        version=1,
        resource_code="r/1",
        name="街道",
        summary="",
        class_path="",
        provider=OrganizationRef(organization_id=uuid4(), uscc="11330600MB1573660P", name="民政局", division_code="330600"),
        system_id=uuid4(),
        items=items,
        key=key,
        sharing_type=SharingType.UNCONDITIONAL,
        open_type=open_type,
        update_cycle=UpdateCycle.DAILY,
        schema_url="http://catalog.test/schema.json",
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_only_items_open_without_conditions_and_of_the_lowest_level_are_opened() -> None:
    found = domain.opening(
        resource(
            item("code"),
            item("phone", data_level=2),
            item("resident_id", data_level=4),
            item("note", open_type=OpenType.CONDITIONAL),
            item("secret", open_type=OpenType.CLOSED),
            item("name"),
        )
    )
    assert [one.code for one in found.items] == ["code", "name"]


@pytest.mark.parametrize("open_type", [OpenType.CONDITIONAL, OpenType.CLOSED])
def test_nothing_of_a_resource_with_conditions_is_opened(open_type: OpenType) -> None:
    found = domain.opening(resource(item("code"), open_type=open_type))
    assert found.items == ()
    assert open_type.value in found.closed_reason


def test_a_withdrawn_resource_is_not_open_and_says_why() -> None:
    found = domain.opening(resource(item("code")), withdrawn_reason="merged into another")
    assert found.items == ()
    assert "merged into another" in found.closed_reason


def test_a_resource_without_an_open_item_is_not_open() -> None:
    assert domain.opening(resource(item("id", data_level=3))).items == ()


def test_rows_are_ordered_by_the_key_only_when_the_whole_key_is_open() -> None:
    one = resource(item("id", data_level=3), item("code"), item("name"), key=("id", "code"))
    assert domain.sort_key(one, domain.opening(one).items) == ("code", "name")
    other = resource(item("code"), item("name"), key=("code",))
    assert domain.sort_key(other, domain.opening(other).items) == ("code",)
    keyless = resource(item("code"))
    assert domain.sort_key(keyless, domain.opening(keyless).items) == ()


@given(st.text(max_size=200), st.text(max_size=200), st.uuids())
def test_a_name_always_keeps_to_ckans_alphabet_and_length(code: str, name: str, identity: UUID) -> None:
    for taken in ((), (domain.base_name(code, name),)):
        assert domain.is_name(domain.dataset_name(identity, code, name, taken=taken))


def test_names_come_from_the_code_then_the_name_then_the_id() -> None:
    identity = UUID("00000000-0000-0000-0000-0000deadbeef")
    assert domain.dataset_name(identity, "307001/000123", "街道") == "307001-000123"
    assert domain.dataset_name(identity, "街道", "Town Streets 街道") == "town-streets"
    assert domain.dataset_name(identity, "街道", "街道") == "dataset-deadbeef"
    assert domain.dataset_name(identity, "streets", "", taken=["streets"]) == "streets-deadbeef"


@pytest.mark.parametrize("text", ["", "a", "A-b", "../etc", "a b", "名称", "a" * 101, "a\0b", "a\n"])
def test_what_is_not_a_name_is_told(text: str) -> None:
    assert not domain.is_name(text)


def test_a_version_is_due_when_the_table_advanced_or_other_items_are_open() -> None:
    latest = Made(table_version=4, items=("a", "b"))
    assert domain.needs_version(None, table_version=0, items=("a",))
    assert not domain.needs_version(latest, table_version=4, items=("a", "b"))
    assert not domain.needs_version(latest, table_version=3, items=("a", "b"))
    assert domain.needs_version(latest, table_version=5, items=("a", "b"))
    assert domain.needs_version(latest, table_version=4, items=("a",))


def test_a_version_that_shows_a_closed_item_is_withheld() -> None:
    assert domain.is_withheld(["a", "b"], ["a"])
    assert not domain.is_withheld(["a"], ["a", "b"])


def test_ids_are_the_same_however_often_they_are_made() -> None:
    identity = uuid4()
    assert domain.dataset_id(identity) == domain.dataset_id(identity)
    ids = {domain.distribution_id(domain.dataset_id(identity), way) for way in ("csv", "json", "parquet", "api")}
    assert len(ids) == 4
