"""Which rules item definitions become."""

from collections.abc import Callable
from uuid import UUID

import pytest

from dxmesh_schemas.catalog import CodeSetRef, DataItem, DataType, ItemFormat, ItemReference, ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind
from quality_svc.rule.domain import DIMENSIONS, Rule, RuleKind, rules_of, says

MakeResource = Callable[..., ResourceSnapshot]
STREET = DataItem(code="street", name="街道代码", data_type=DataType.TEXT, length=12, pattern=r"\d{9}", format=ItemFormat.DIVISION)
AREA = DataItem(
    code="area", name="区划", data_type=DataType.TEXT, required=True, reference=ItemReference(resource_id=UUID(int=9), item="code")
)
KIND = DataItem(code="kind", name="类别", data_type=DataType.TEXT, enumeration=("街道", "镇"), code_set=CodeSetRef(name="street-kind"))
PEOPLE = DataItem(code="people", name="人口", data_type=DataType.INTEGER, minimum=0, maximum=2_000_000)


def kinds(rules: tuple[Rule, ...], item: str | None) -> list[str]:
    return [rule.kind.value for rule in rules if rule.item == item]


def test_each_definition_becomes_its_rules_and_nothing_else(make_resource: MakeResource) -> None:
    rules = rules_of(make_resource(STREET, AREA, KIND, PEOPLE, key=("street",)), BatchKind.APPEND)
    assert kinds(rules, "street") == ["required", "length", "pattern", "division", "unique"]
    assert kinds(rules, "area") == ["required", "reference"]
    assert kinds(rules, "kind") == ["enumeration", "code_set"]
    assert kinds(rules, "people") == ["type", "range"]
    assert kinds(rules, None) == ["readable"]


def test_a_key_of_two_items_is_unique_as_a_whole_and_each_part_is_required(make_resource: MakeResource) -> None:
    rules = rules_of(make_resource(STREET, PEOPLE, key=("street", "people")), BatchKind.UPSERT)
    unique = [rule for rule in rules if rule.kind is RuleKind.UNIQUE]
    assert [rule.columns for rule in unique] == [("street", "people")]
    assert unique[0].item is None
    assert "required" in kinds(rules, "people")


def test_a_resource_without_a_key_has_no_unique_rule(make_resource: MakeResource) -> None:
    assert RuleKind.UNIQUE not in {rule.kind for rule in rules_of(make_resource(STREET), BatchKind.APPEND)}


def test_a_delete_is_held_to_its_key_only_and_may_outlive_codes_and_references(make_resource: MakeResource) -> None:
    item = AREA.model_copy(update={"code_set": CodeSetRef(name="areas"), "length": 6})
    rules = rules_of(make_resource(item, STREET, PEOPLE, key=("area",)), BatchKind.DELETE)
    assert [rule.kind.value for rule in rules] == ["readable", "required", "length", "unique"]
    assert {column for rule in rules for column in rule.columns} == {"area"}


def test_every_kind_has_a_dimension_of_the_six_local_and_the_six_of_the_standard() -> None:
    assert set(DIMENSIONS) == set(RuleKind)
    assert {local for local, _ in DIMENSIONS.values()} <= {"完整性", "准确性", "规范性", "一致性", "唯一性", "关联性"}
    assert {gb for _, gb in DIMENSIONS.values()} <= {"规范性", "完整性", "准确性", "一致性", "时效性", "可访问性"}
    assert DIMENSIONS[RuleKind.REFERENCE] == ("关联性", "一致性")
    assert DIMENSIONS[RuleKind.UNIQUE] == ("唯一性", "准确性")


def test_every_rule_says_in_a_sentence_what_it_demands(make_resource: MakeResource) -> None:
    ids = [
        DataItem(code=code, name=code, data_type=DataType.TEXT, format=form)
        for code, form in (("ric", ItemFormat.RESIDENT_ID), ("uscc", ItemFormat.USCC))
    ]
    rules = rules_of(make_resource(STREET, AREA, KIND, PEOPLE, *ids, key=("street",)), BatchKind.APPEND)
    assert {rule.kind for rule in rules} == set(RuleKind)
    sentences = [says(rule) for rule in rules]
    assert all(sentence.endswith(".") for sentence in sentences)
    assert len(set(sentences)) == len(sentences)
    assert "people is at least 0 and at most 2000000." in sentences


def test_a_rule_about_a_line_has_no_item_definition() -> None:
    with pytest.raises(ValueError, match="not about one item"):
        _ = Rule(RuleKind.READABLE, ()).one
