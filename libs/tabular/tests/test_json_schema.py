from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from dxmesh_schemas.catalog import DataItem, OrganizationRef, ResourceSnapshot
from dxmesh_tabular import json_schema


def schema(*items: dict[str, Any], key: tuple[str, ...] = ()) -> dict[str, Any]:
    found = json_schema.of(
        ResourceSnapshot(
            resource_id=UUID(int=1),
            version=2,
            resource_code="300000/000001",
            name="街道",
            summary="全市街道",
            class_path="3",
            provider=OrganizationRef(organization_id=UUID(int=2), uscc="11330600MB1573660P", name="局", division_code="3306"),
            system_id=UUID(int=3),
            items=tuple(DataItem.model_validate({"code": "a", "name": "甲"} | item) for item in items),
            key=key,
            sharing_type="UNCONDITIONAL",
            open_type="CLOSED",
            update_cycle="DAILY",
            schema_url="http://catalog.test/v1/resources/1/versions/2/schema.json",
            published_at=datetime(2026, 11, 22, tzinfo=UTC),
        )
    )
    Draft202012Validator.check_schema(found)
    return found


def fits(found: dict[str, Any], value: Any) -> bool:
    validator = Draft202012Validator(found, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return validator.is_valid({"a": value})


@pytest.mark.parametrize(
    ("item", "good", "bad"),
    [
        ({"data_type": "C", "length": 3}, ["", "一二三"], ["一二三四", 1]),
        ({"data_type": "M"}, ["x" * 9999], [1.5]),
        ({"data_type": "C", "pattern": "[0-9]{2}"}, ["12"], ["123", "a12", ""]),
        ({"data_type": "C", "pattern": "ab|cd"}, ["ab", "cd"], ["abd", "acd"]),
        ({"data_type": "C", "enumeration": ["男", "女"]}, ["男"], ["其他", ""]),
        ({"data_type": "C", "format": "division"}, ["330602"], ["33060", "３３"]),
        ({"data_type": "C", "format": "uscc"}, ["11330600MB1573660P"], ["11330600MB1573660O"]),
        ({"data_type": "C", "format": "resident_id", "pattern": "33.*"}, ["330602199001011234", "33060219900101123X"], ["1" * 18]),
        ({"data_type": "I", "minimum": 0}, [0, 2**63 - 1], [-1, 2**63, 1.5, "1"]),
        ({"data_type": "N", "maximum": 1.5}, [1, 1.5, -3e9], [1.6, "1"]),
        ({"data_type": "B"}, [0.1], [True, "x"]),
        ({"data_type": "N", "scale": 0}, [12, -3], [1.5, "12"]),
        ({"data_type": "Y", "minimum": 0}, [1.5, 0], ["1.50", -0.1]),
        ({"data_type": "D"}, ["2024-02-29"], ["2023-02-29", "20240229", 20240229]),
        ({"data_type": "L"}, [True, False], ["true", 1]),
    ],
)
def test_a_value_fits_as_its_item_says(item: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    required, optional = schema(item | {"required": True}), schema(item)
    for value in good:
        assert fits(required, value), value
        assert fits(optional, value), value
    for value in bad:
        assert not fits(required, value), value
        assert not fits(optional, value), value
    assert not fits(required, None)
    assert fits(optional, None)


def test_an_item_nobody_registered_does_not_fit() -> None:
    assert not Draft202012Validator(schema({"data_type": "C"})).is_valid({"b": "x"})


def test_a_view_with_fewer_items_fits() -> None:
    found = schema({"data_type": "C", "required": True}, {"code": "b", "name": "乙", "data_type": "I", "required": True}, key=("a",))
    assert Draft202012Validator(found).is_valid({"a": "x"})
    assert found["x-key"] == ["a"]


@pytest.mark.parametrize("pattern", [r"\p{Han}+", r"(?i)ab", r"(?P<x>a)", r"[[:alpha:]]+", r"\x{4e00}"])
def test_a_pattern_only_rust_reads_is_kept_beside_the_schema(pattern: str) -> None:
    found = schema({"data_type": "C", "pattern": pattern})["properties"]["a"]
    assert "pattern" not in found
    assert found["x-pattern"] == f"^(?:{pattern})$"


def test_what_json_schema_cannot_say_stands_in_extensions() -> None:
    reference = {"resource_id": str(UUID(int=9)), "item": "b"}
    found = schema({"data_type": "C", "code_set": {"name": "areas"}, "reference": reference})["properties"]["a"]
    assert found["x-code-set"] == {"name": "areas"}
    assert found["x-reference"] == reference
    assert found["x-data-type"] == "C"
