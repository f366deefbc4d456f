from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from catalog_svc.resource import diff, domain
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.diff import Effect

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
SYSTEM = {"system_id": str(UUID(int=1))}


@pytest.fixture
def make(good_entry: Any) -> Any:
    def settled(**changes: Any) -> Settled:
        return domain.settle(Definition.model_validate(good_entry(SYSTEM, **changes)), before=None, now=NOW)

    return settled


def with_item(good_entry: Any, good_item: Any, **changes: Any) -> dict[str, Any]:
    return {"items": [*good_entry(SYSTEM)["items"], good_item("extra", **changes)]}


def test_the_same_twice_differs_in_nothing(make: Any) -> None:
    found = diff.of(make(), make())
    assert (found.breaking, found.fields, found.items) == (False, [], [])


def test_an_added_item_breaks_nothing(make: Any, good_entry: Any, good_item: Any) -> None:
    found = diff.of(make(), make(**with_item(good_entry, good_item)))
    assert [(item.code, item.effect, item.breaking) for item in found.items] == [("extra", Effect.ADDED, False)]
    assert not found.breaking


def test_a_removed_item_breaks_those_who_read_it(make: Any, good_entry: Any, good_item: Any) -> None:
    found = diff.of(make(**with_item(good_entry, good_item)), make())
    assert [(item.code, item.effect, item.breaking) for item in found.items] == [("extra", Effect.REMOVED, True)]
    assert (found.breaking, found.broken_items, found.breaks_all) == (True, ["extra"], False)


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ({"data_type": "C"}, {"data_type": "M"}, Effect.RETYPED),
        ({"data_type": "N", "scale": 2}, {"data_type": "Y", "scale": 2}, Effect.RETYPED),
        ({"length": 9}, {"length": 6}, Effect.NARROWED),
        ({"length": 6}, {"length": 9}, Effect.WIDENED),
        ({}, {"length": 6}, Effect.NARROWED),
        ({"length": 6}, {}, Effect.WIDENED),
        ({}, {"required": True}, Effect.NARROWED),
        ({"required": True}, {}, Effect.WIDENED),
        ({"data_type": "I", "minimum": 0}, {"data_type": "I", "minimum": 1}, Effect.NARROWED),
        ({"data_type": "I", "minimum": 1}, {"data_type": "I", "minimum": 0}, Effect.WIDENED),
        ({"data_type": "I", "maximum": 9}, {"data_type": "I", "maximum": 8}, Effect.NARROWED),
        ({"data_type": "I", "maximum": 8}, {"data_type": "I", "maximum": 9}, Effect.WIDENED),
        ({"data_type": "I", "maximum": 0}, {"data_type": "I"}, Effect.WIDENED),
        ({"data_type": "I"}, {"data_type": "I", "minimum": 0}, Effect.NARROWED),
        ({"enumeration": ["1", "2"]}, {"enumeration": ["1"]}, Effect.NARROWED),
        ({"enumeration": ["1", "2"]}, {"enumeration": ["1", "3"]}, Effect.NARROWED),
        ({"enumeration": ["1"]}, {"enumeration": ["1", "2"]}, Effect.WIDENED),
        ({"enumeration": ["1", "2"]}, {"enumeration": ["2", "1"]}, Effect.CHANGED),
        ({}, {"enumeration": ["1"]}, Effect.NARROWED),
        ({"enumeration": ["1"]}, {}, Effect.WIDENED),
        ({"pattern": "a"}, {"pattern": "b"}, Effect.NARROWED),
        ({"pattern": "a"}, {}, Effect.WIDENED),
        ({}, {"format": "uscc"}, Effect.NARROWED),
        ({}, {"code_set": {"name": "x"}}, Effect.NARROWED),
        ({"code_set": {"name": "x"}}, {}, Effect.WIDENED),
        ({"data_level": 1}, {"data_level": 2}, Effect.CHANGED),
        ({"description": "a"}, {"description": "b"}, Effect.CHANGED),
        ({"name": "甲"}, {"name": "乙"}, Effect.CHANGED),
    ],
)
def test_an_item_is_narrowed_widened_or_retyped(
    make: Any, good_entry: Any, good_item: Any, before: dict[str, Any], after: dict[str, Any], effect: Effect
) -> None:
    found = diff.of(make(**with_item(good_entry, good_item, **before)), make(**with_item(good_entry, good_item, **after)))
    [item] = found.items
    assert (item.code, item.effect, item.breaking) == ("extra", effect, effect in (Effect.NARROWED, Effect.RETYPED))
    assert found.breaking is item.breaking


def test_the_gravest_of_several_changes_counts_and_each_is_told(make: Any, good_entry: Any, good_item: Any) -> None:
    before, after = {"length": 9, "pattern": "a", "description": "a"}, {"length": 6, "description": "b"}
    [item] = diff.of(make(**with_item(good_entry, good_item, **before)), make(**with_item(good_entry, good_item, **after))).items
    assert item.effect is Effect.NARROWED
    assert {field.field: (field.before, field.after, field.effect) for field in item.fields} == {
        "description": ("a", "b", Effect.CHANGED),
        "length": (9, 6, Effect.NARROWED),
        "pattern": ("a", None, Effect.WIDENED),
    }


def test_stricter_sharing_and_another_key_touch_every_reader(make: Any, good_entry: Any) -> None:
    strict = make(sharing_type="CONDITIONAL", sharing_condition="限查验")
    found = diff.of(make(), strict)
    assert (found.breaking, found.breaks_all) == (True, True)
    assert {field.field: field.effect for field in found.fields} == {
        "sharing_type": Effect.NARROWED,
        "sharing_condition": Effect.CHANGED,
    }
    assert not diff.of(strict, make()).breaking
    keyed = diff.of(make(), make(key=["street_code", "street_name"]))
    assert (keyed.breaking, keyed.breaks_all, keyed.fields[0].field) == (True, True, "key")


def test_words_and_cycles_change_without_breaking(make: Any) -> None:
    found = diff.of(make(), make(name="街道名录", update_cycle="YEARLY", census={"total_gb": 1}))
    assert {field.field for field in found.fields} == {"name", "update_cycle", "census"}
    assert not found.breaking
