from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_svc.resource import domain, rules
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.domain import NATIONAL, State
from catalog_svc.resource.errors import IllegalTransition
from dxmesh_schemas.catalog import DataItem, SharingType

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
SYSTEM = {"system_id": str(UUID(int=1))}
OTHER, OWN = UUID(int=2), UUID(int=3)
BASIS = {"kind": "law", "title": "中华人民共和国数据安全法", "article": "第三十八条"}
FACTS = rules.Facts(
    system_name="婚姻登记系统",
    code_sets={"gb-t-2260": 3},
    referenced={OTHER: [DataItem(code="area", name="区", data_type="C"), DataItem(code="size", name="面积", data_type="I")]},
    resource_id=OWN,
)


@pytest.fixture
def make(good_entry: Any) -> Any:
    return lambda **changes: Definition.model_validate(good_entry(SYSTEM, **changes))


def test_a_good_entry_breaks_no_rule(make: Any) -> None:
    assert rules.faults(make(), FACTS) == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"is_classified": True}, "/is_classified"),
        ({"name": "婚姻 登记系统".replace(" ", "")}, "/name"),
        ({"sharing_type": "NOT_SHARED"}, "/non_sharing_basis"),
        ({"non_sharing_basis": BASIS}, "/non_sharing_basis"),
        ({"sharing_type": "CONDITIONAL"}, "/sharing_condition"),
        ({"sharing_type": "CONDITIONAL", "sharing_condition": "  "}, "/sharing_condition"),
        ({"sharing_condition": "只供参考"}, "/sharing_condition"),
        ({"sharing_type": "CONDITIONAL", "sharing_condition": "x", "standing_consent": {"approved_by": "局长"}}, "/standing_consent"),
        ({"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS, "open_type": "UNCONDITIONAL"}, "/open_type"),
        ({"key": ["street_code", "nothing"]}, "/key/1"),
        ({"key": ["street_code", "street_code"]}, "/key/1"),
    ],
)
def test_a_broken_rule_points_at_its_field(make: Any, changes: dict[str, Any], pointer: str) -> None:
    found = rules.faults(make(**changes), FACTS)
    assert [where for where, _ in found] == [pointer]


def test_a_system_that_is_not_there_points_at_the_field(make: Any) -> None:
    assert [where for where, _ in rules.faults(make(), rules.Facts(system_name=None))] == ["/system_id"]


@pytest.mark.parametrize(
    ("changes", "below"),
    [
        ({"code": "extra_"}, "code"),
        ({"code": "STREET_NAME"}, "code"),
        ({"name": "街道名称"}, "name"),
        ({"name": "第２项"}, "name"),
        ({"name": "a\u200bb"}, "name"),
        ({"description": "a\x00b"}, "description"),
        ({"pattern": r"(?=a)b"}, "pattern"),
        ({"pattern": r"(?!a)b"}, "pattern"),
        ({"pattern": r"(?<=a)b"}, "pattern"),
        ({"pattern": r"(a)\1"}, "pattern"),
        ({"pattern": "(a"}, "pattern"),
        ({"pattern": "a)(b"}, "pattern"),
        ({"pattern": "(a{1000}){1000}"}, "pattern"),
        ({"pattern": ""}, "pattern"),
        ({"enumeration": []}, "enumeration"),
        ({"enumeration": ["1", "2", "1"]}, "enumeration/2"),
        ({"enumeration": ["1", " "]}, "enumeration/1"),
        ({"code_set": {"name": "nothing"}}, "code_set/name"),
        ({"code_set": {"name": "gb-t-2260", "version": 4}}, "code_set/version"),
        ({"code_set": {"name": "gb-t-2260"}, "data_type": "I"}, "code_set"),
        ({"reference": {"resource_id": str(UUID(int=9)), "item": "area"}}, "reference/resource_id"),
        ({"reference": {"resource_id": str(OTHER), "item": "nothing"}}, "reference/item"),
        ({"reference": {"resource_id": str(OTHER), "item": "size"}}, "reference/item"),
        ({"reference": {"resource_id": str(OWN), "item": "extra"}}, "reference/item"),
        ({"data_type": "N", "minimum": 2, "maximum": 1}, "maximum"),
        ({"data_type": "N", "minimum": float("nan")}, "minimum"),
        ({"data_type": "N", "maximum": float("inf")}, "maximum"),
        ({"sharing_type": "NOT_SHARED"}, None),
    ],
)
def test_a_broken_rule_of_an_item_points_at_its_field(
    make: Any, good_entry: Any, good_item: Any, changes: dict[str, Any], below: str | None
) -> None:
    items = [*good_entry(SYSTEM)["items"], good_item(**changes)]
    found = [where for where, _ in rules.faults(make(items=items), FACTS)]
    assert found == ([f"/items/3/{below}"] if below else ["/non_sharing_basis"])


@pytest.mark.parametrize(
    "changes",
    [
        {"pattern": r"\p{Han}{1,20}|[A-Z]{2}\d+"},
        {"code_set": {"name": "gb-t-2260", "version": 3}},
        {"reference": {"resource_id": str(OTHER), "item": "area"}},
        {"reference": {"resource_id": str(OWN), "item": "street_code"}},
        {"enumeration": ["男", "女"], "length": 1},
        {"data_type": "Y", "minimum": 0, "maximum": 0},
    ],
)
def test_good_items_break_no_rule(make: Any, good_entry: Any, good_item: Any, changes: dict[str, Any]) -> None:
    assert rules.faults(make(items=[*good_entry(SYSTEM)["items"], good_item(**changes)]), FACTS) == []


def test_a_declared_sharing_type_laxer_than_an_item_is_refused(make: Any, good_item: Any) -> None:
    found = rules.faults(make(items=[good_item("street_code", sharing_type="CONDITIONAL")], sharing_type="UNCONDITIONAL"), FACTS)
    assert [where for where, _ in found] == ["/sharing_type"]


def test_every_item_closed_leaves_nothing_to_open(make: Any, good_item: Any) -> None:
    found = rules.faults(make(items=[good_item("street_code", open_type="CLOSED")], open_type="UNCONDITIONAL"), FACTS)
    assert [where for where, _ in found] == ["/open_type"]


@given(st.lists(st.sampled_from(SharingType)))
def test_the_strictest_is_none_laxer_than_any(kinds: list[SharingType]) -> None:
    order = [SharingType.UNCONDITIONAL, SharingType.CONDITIONAL, SharingType.NOT_SHARED]
    assert all(order.index(kind) <= order.index(rules.strictest(kinds)) for kind in kinds)
    assert rules.strictest(kinds) in kinds or not kinds


def test_sharing_is_the_rule_and_opening_the_exception(make: Any) -> None:
    settled = domain.settle(make(), before=None, now=NOW)
    assert settled.sharing_type == "UNCONDITIONAL"
    assert settled.open_type == "CLOSED"


def test_settling_makes_key_items_required_and_keeps_the_rest(make: Any) -> None:
    settled = domain.settle(make(), before=None, now=NOW)
    assert [item.required for item in settled.items] == [True, True, False]


def test_a_consent_keeps_its_date_until_the_approver_changes(make: Any) -> None:
    first = domain.settle(make(standing_consent={"approved_by": "局长"}), before=None, now=NOW)
    later = NOW.replace(hour=9)
    same = domain.settle(make(standing_consent={"approved_by": "局长", "approved_at": "1999-01-01T00:00:00Z"}), before=first, now=later)
    other = domain.settle(make(standing_consent={"approved_by": "副局长"}), before=first, now=later)
    assert first.standing_consent is not None
    assert same.standing_consent == first.standing_consent
    assert other.standing_consent is not None
    assert other.standing_consent.approved_at == later


@pytest.mark.parametrize(
    ("change", "pointer"), [({"data_type": "I", "length": None, "format": None}, "/items/0/data_type"), (None, "/class_path")]
)
def test_what_the_table_relies_on_stays_from_version_to_version(
    make: Any, good_entry: Any, change: dict[str, Any] | None, pointer: str
) -> None:
    published = domain.settle(make(), before=None, now=NOW)
    items = good_entry(SYSTEM)["items"]
    changed = make(items=[items[0] | change, *items[1:]]) if change else make(class_path="3/31")
    facts = rules.Facts(system_name="x", published=published)
    assert [where for where, _ in rules.faults(changed, facts)] == [pointer]


def test_what_is_kept_is_read_back_the_same(make: Any) -> None:
    settled = domain.settle(make(standing_consent={"approved_by": "局长"}), before=None, now=NOW)
    assert Settled.model_validate(settled.model_dump(mode="json")) == settled


@pytest.mark.parametrize(
    ("class_path", "code"),
    [("3", "300000/000007"), ("1/01", "101000/000007"), ("2/05/012", "205012/000007"), ("3/30/102/0A", "3301020A/000007")],
)
def test_a_resource_code_is_the_class_and_a_number(class_path: str, code: str) -> None:
    assert NATIONAL.code(NATIONAL.prefix(class_path), 7) == code


def test_states_go_forward_only() -> None:
    assert domain.publish(State.DRAFT, has_draft=True) is State.PUBLISHED
    assert domain.publish(State.PUBLISHED, has_draft=True) is State.PUBLISHED
    assert domain.withdraw(State.PUBLISHED) is State.WITHDRAWN
    for state, has_draft in ((State.PUBLISHED, False), (State.WITHDRAWN, True)):
        with pytest.raises(IllegalTransition):
            domain.publish(state, has_draft=has_draft)
    for state in (State.DRAFT, State.WITHDRAWN):
        with pytest.raises(IllegalTransition):
            domain.withdraw(state)
    with pytest.raises(IllegalTransition):
        domain.refuse_change(State.WITHDRAWN)
