"""The templates of base databases: each is a good entry, and says where its words and codes are from."""

from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest

from catalog_svc.code_set.shipped import SHIPPED
from catalog_svc.resource import rules
from catalog_svc.resource.definition import Definition
from catalog_svc.taxonomy import templates
from catalog_svc.taxonomy.errors import TemplateNotFound
from dxmesh_schemas.problem import Fault

_BY_FORMAT = {"resident_id": "GB 11643", "uscc": "GB 32100", "division": "GB/T 2260"}
_NO_LENGTH = {"D", "T", "L", "I", "N", "Y", "M"}


def entry(code: str, **changes: Any) -> Definition:
    return Definition.model_validate(templates.get(code).entry | {"system_id": str(UUID(int=1)), "steward": "数据管理员"} | changes)


def faults(definition: Definition) -> list[Fault]:
    known = rules.Facts(
        system_name="业务系统", code_sets={one.name: 1 for one in SHIPPED}, taxonomies=dict.fromkeys(templates.CODES, False)
    )
    return [*rules.faults(definition, known), *rules.missing(definition)]


@pytest.mark.parametrize("code", templates.CODES)
def test_a_template_breaks_no_rule_of_entries_and_lacks_nothing_but_system_and_steward(code: str) -> None:
    made = entry(code)
    assert faults(made) == []
    assert made.taxonomies == (code,)
    assert made.class_path.startswith("1")
    assert made.key
    assert len(made.items) >= 15


def test_a_template_that_breaks_a_rule_would_be_found() -> None:
    broken = templates.get("base-geo").entry
    items = [
        item | {"dictionary": "GB/T 1", "data_type": "I", "length": None} if number == 0 else item
        for number, item in enumerate(broken["items"])
    ]
    assert [pointer for pointer, _ in faults(entry("base-geo", items=items, key=["nothing"]))] == ["/key/0", "/items/0/dictionary"]


@pytest.mark.parametrize("code", templates.CODES)
def test_a_template_names_the_standards_of_its_codes_and_only_code_sets_that_come_along(code: str) -> None:
    found = templates.get(code)
    numbers = [standard.number for standard in found.standards]
    for item in found.entry["items"]:
        wanted = item.get("dictionary") or _BY_FORMAT.get(item.get("format", ""))
        assert wanted is None or any(number.split("-")[0] == wanted or number.startswith(wanted) for number in numbers), item["code"]
        assert item["data_type"] in _NO_LENGTH or item["length"]
    assert set(found.code_sets) <= {one.name for one in SHIPPED}
    assert all(standard.gives for standard in found.standards)


def test_there_is_a_template_for_each_base_database_that_comes_along_and_for_no_other() -> None:
    data = files("catalog_svc.taxonomy").joinpath("data")
    assert {one.name.removesuffix(".json") for one in data.iterdir() if one.name.endswith(".json")} == set(templates.CODES)
    with pytest.raises(TemplateNotFound, match="base-population"):
        templates.get("../base-population")
