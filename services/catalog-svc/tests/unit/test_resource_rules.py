from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from catalog_svc.resource import domain, rules
from catalog_svc.resource.codes import PROVIDER
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.domain import NATIONAL, State
from catalog_svc.resource.errors import IllegalTransition
from dxmesh_schemas.catalog import DataItem, OrganizationRef, ResourceSnapshot, SharingType
from dxmesh_schemas.catalog_attributes import BasisKind

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


def test_patterns_that_would_take_minutes_to_compile_are_refused_before_they_are(make: Any, good_item: Any) -> None:
    costly = [good_item(f"c{n}", name=f"项{n}", pattern=rf"\w{{200}}{n}") for n in range(1000)]
    assert [where for where, _ in rules.faults(make(items=costly, key=[]), FACTS)] == ["/items/4/pattern"]
    nested = [good_item(f"c{n}", name=f"项{n}", pattern=rf"(?:\p{{L}}[\W--[a-z]]{{5}}){{10}}{n}") for n in range(1000)]
    assert [where for where, _ in rules.faults(make(items=nested, key=[]), FACTS)] == ["/items/13/pattern"]


def test_patterns_people_write_cost_little_and_the_same_one_costs_once(make: Any, good_item: Any) -> None:
    written = [r"[1-9]\d{5}(18|19|20)\d{2}((0[1-9])|(1[0-2]))(([0-2][1-9])|10|20|30|31)\d{3}[0-9Xx]", r"1[3-9]\d{9}", r"\w{1,200}"]
    items = [good_item(f"c{n}", name=f"项{n}", pattern=written[n % 3]) for n in range(1000)]
    assert rules.faults(make(items=items, key=[]), FACTS) == []


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
        ({"pattern": r"(?x)\d # digits {200}"}, "pattern"),
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


@pytest.mark.parametrize("character", ["\x01", "\x08", "\x0b", "\x0c", "\x1f", "\x7f", "\u200b", "\u2028", "\ufe0f"])
def test_what_cannot_be_seen_is_found_in_any_text_of_an_item_however_json_writes_it(make: Any, good_item: Any, character: str) -> None:
    found = rules.faults(make(items=[good_item(), good_item(code="b", name="乙", description=f"甲{character}")], key=[]), FACTS)
    assert [pointer for pointer, _ in found] == ["/items/1/description"]


def test_line_breaks_quotes_and_backslashes_in_a_text_of_an_item_are_seen(make: Any, good_item: Any) -> None:
    texts = ["甲\n\t乙", 'C:\\b "\\u0007"', "甲\u3000乙"]
    items = [good_item(code=f"c{at}", name=f"项{at}", description=text) for at, text in enumerate(texts)]
    assert rules.faults(make(items=items, key=[]), FACTS) == []


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
    assert NATIONAL.code(NATIONAL.prefix(class_path, "11330600002577014T"), 7) == code


def test_another_scheme_codes_by_the_provider() -> None:
    assert PROVIDER.code(PROVIDER.prefix("3/30", "11330600002577014T"), 7) == "11330600002577014T/000007"


def test_only_what_is_in_force_is_withdrawn_and_what_is_withdrawn_changes_no_more() -> None:
    assert domain.withdraw(State.PUBLISHED) is State.WITHDRAWN
    for state in (State.DRAFT, State.SUBMITTED, State.APPROVED, State.WITHDRAWN):
        with pytest.raises(IllegalTransition):
            domain.withdraw(state)
    with pytest.raises(IllegalTransition):
        domain.refuse_change(State.WITHDRAWN)


VIDEO = {"code": "33060000001310000001", "longitude": 120.58, "latitude": 30.0}
CONDITIONAL = {"sharing_type": "CONDITIONAL", "sharing_condition": "限查验"}


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"format_type": "pdf"}, ["/format_type"]),
        ({"format_note": "说明"}, ["/format_note"]),
        ({"format_class": "ELECTRONIC_FILE"}, ["/format_type"]),
        ({"format_class": "ELECTRONIC_FILE", "format_type": "xls"}, ["/format_type"]),
        ({"format_class": "SPREADSHEET", "format_type": "other"}, ["/format_note"]),
        ({"format_class": "SELF_DESCRIBING"}, ["/format_note"]),
        ({"format_class": "ELECTRONIC_FILE", "format_type": "ofd", "sharing_mode": "DATABASE"}, ["/sharing_mode"]),
        ({"format_class": "GRAPHIC", "format_type": "jpg", "sharing_mode": "API"}, ["/sharing_mode"]),
        ({"format_class": "DATABASE", "format_type": "DM", "sharing_mode": "FILE"}, ["/sharing_mode"]),
        ({"format_class": "SERVICE", "format_type": "REST", "sharing_mode": "DATABASE"}, ["/sharing_mode"]),
        ({"sharing_mode": "API", "sharing_channel": "DISK"}, ["/sharing_channel"]),
        ({"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS, "sharing_mode": "FILE"}, ["/sharing_mode"]),
        ({"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS, "sharing_channel": "PLATFORM"}, ["/sharing_channel"]),
        ({"sharing_scope": "市级部门"}, ["/sharing_scope"]),
        ({"sharing_purposes": ["WORK_REFERENCE"]}, ["/sharing_purposes"]),
        ({"sharing_reason": "含个人信息"}, ["/sharing_reason"]),
        ({**CONDITIONAL, "sharing_purposes": ["WORK_REFERENCE", "WORK_REFERENCE"]}, ["/sharing_purposes/1"]),
        ({"open_condition": "限科研"}, ["/open_condition"]),
        ({"open_type": "UNCONDITIONAL", "open_condition": "限科研"}, ["/open_condition"]),
        ({"is_core": True, "open_type": "CONDITIONAL"}, ["/open_type"]),
        ({"is_important": True, "standing_consent": {"approved_by": "局长"}}, ["/standing_consent"]),
        ({"is_core": True, "is_important": True, "standing_consent": {"approved_by": "局长"}}, ["/standing_consent"]),
        ({"census": {"total_gb": 1, "shared_gb": 1.5, "open_gb": 2}}, ["/census/shared_gb", "/census/open_gb"]),
        ({"census": {"total_rows_10k": 1, "open_rows_10k": 2}}, ["/census/open_rows_10k"]),
        ({"related_codes": ["330000/000001", "330000/000001"]}, ["/related_codes/1"]),
        ({"related_codes": ["330000/000077"]}, ["/related_codes/0"]),
        ({"video": VIDEO}, ["/video"]),
        ({"kind": "video"}, ["/video"]),
        ({"kind": "video", "video": VIDEO, "format_class": "GRAPHIC", "format_type": "jpg"}, ["/format_class"]),
    ],
)
def test_a_broken_rule_of_an_attribute_points_at_its_field(make: Any, changes: dict[str, Any], pointers: list[str]) -> None:
    facts = replace(FACTS, resource_code="330000/000077")
    assert [where for where, _ in rules.faults(make(**changes), facts)] == pointers


@pytest.mark.parametrize(
    "changes",
    [
        {"format_class": "DATABASE", "format_type": "kingbase", "sharing_mode": "API", "sharing_channel": "PLATFORM"},
        {"format_class": "STREAM", "format_type": "RTSP", "kind": "video", "video": VIDEO},
        {"format_class": "SELF_DESCRIBING", "format_note": "表格驱动码"},
        {"format_class": "SPREADSHEET", "format_type": "other", "format_note": "ods", "sharing_mode": "FILE", "sharing_channel": "MEDIA"},
        {**CONDITIONAL, "sharing_scope": "市级部门", "sharing_purposes": ["ADMINISTRATIVE_BASIS", "DATA_CHECKING"], "sharing_reason": "x"},
        {"census": {"shared_gb": 3}},
        {"open_type": "CONDITIONAL", "open_condition": "限科研"},
        {"is_core": True, "is_important": True, "data_level": 4},
        {"kind": "video", "video": {"code": "1", "longitude": 73, "latitude": 54}},
    ],
)
def test_good_attributes_break_no_rule(make: Any, changes: dict[str, Any]) -> None:
    assert rules.faults(make(**changes), FACTS) == []


@pytest.mark.parametrize(
    "title", ["浙江省公共数据条例", "《绍兴市大数据发展办法》", "延边朝鲜族自治州条例", "广东省政务数据资源共享管理办法"]
)
@pytest.mark.parametrize("kind", list(BasisKind))
def test_a_local_rule_forbids_no_sharing_whatever_kind_it_is_called(make: Any, title: str, kind: BasisKind) -> None:
    basis = {"kind": kind, "title": title, "article": "第三条"}
    [(where, what)] = rules.faults(make(sharing_type="NOT_SHARED", non_sharing_basis=basis), FACTS)
    assert where == "/non_sharing_basis/title"
    assert "local rule" in what


@pytest.mark.parametrize(
    "title", ["中华人民共和国数据安全法", "城市房地产开发经营管理条例", "上市公司监督管理条例", "国务院关于深圳经济特区若干问题的决定"]
)
def test_a_law_of_the_country_may_forbid_sharing(make: Any, title: str) -> None:
    basis = {"kind": "law", "title": title, "article": "第12条"}
    assert rules.faults(make(sharing_type="NOT_SHARED", non_sharing_basis=basis), FACTS) == []


@pytest.mark.parametrize("kind", ["local_regulation", "departmental_rule", "policy", ""])
def test_a_basis_of_another_kind_is_refused_with_the_kinds_there_are(make: Any, kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        make(sharing_type="NOT_SHARED", non_sharing_basis=BASIS | {"kind": kind})
    [error] = refused.value.errors()
    assert error["loc"] == ("non_sharing_basis", "kind")
    assert "law, administrative_regulation, state_council_decision" in error["msg"]


@pytest.mark.parametrize("sensitivity", ["PERSONAL", "SENSITIVE_PERSONAL", "TRADE_SECRET"])
def test_what_must_not_be_public_is_not_opened_as_it_is(make: Any, good_item: Any, sensitivity: str) -> None:
    items = [good_item("street_code"), good_item("phone", sensitivity=sensitivity)]
    assert [where for where, _ in rules.faults(make(items=items, open_type="UNCONDITIONAL"), FACTS)] == ["/items/1/open_type"]
    items[1] |= {"open_type": "CLOSED"}
    assert rules.faults(make(items=items, open_type="UNCONDITIONAL"), FACTS) == []


def test_the_level_is_the_highest_of_the_items_or_higher(make: Any, good_item: Any) -> None:
    items = [good_item("street_code"), good_item("b", data_level=3)]
    assert domain.settle(make(items=items), before=None, now=NOW).data_level == 3
    assert domain.settle(make(items=items, data_level=4), before=None, now=NOW).data_level == 4
    assert [where for where, _ in rules.faults(make(items=items, data_level=2), FACTS)] == ["/data_level"]


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"steward": ...}, ["/steward"]),
        (CONDITIONAL, ["/sharing_reason", "/sharing_purposes"]),
        ({**CONDITIONAL, "sharing_reason": "含个人信息"}, ["/sharing_purposes"]),
        ({**CONDITIONAL, "sharing_purposes": ["COLLABORATION"]}, ["/sharing_reason"]),
        ({"open_type": "CONDITIONAL"}, ["/open_condition"]),
        ({"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS}, []),
        ({}, []),
    ],
)
def test_a_submission_lacks_nothing_a_draft_may_lack(make: Any, changes: dict[str, Any], pointers: list[str]) -> None:
    assert rules.faults(make(**changes), FACTS) == []
    assert [where for where, _ in rules.missing(make(**changes))] == pointers


def test_a_definition_kept_before_there_were_attributes_is_read(make: Any) -> None:
    kept = domain.settle(make(), before=None, now=NOW).model_dump(mode="json")
    old = {"system_id", "name", "summary", "class_path", "items", "key", "sharing_type", "sharing_condition", "non_sharing_basis"}
    old |= {"open_type", "open_theme", "update_cycle", "max_quarantined_ratio", "is_classified", "standing_consent"}
    read = Settled.model_validate({name: value for name, value in kept.items() if name in old})
    assert (read.kind, read.steward, read.data_level, read.sharing_purposes) == ("data", None, None, ())


def test_everything_said_of_a_resource_goes_with_its_snapshot(make: Any) -> None:
    said = make(
        **CONDITIONAL,
        sharing_scope="市级部门",
        sharing_purposes=["ADMINISTRATIVE_BASIS"],
        sharing_reason="含个人信息",
        format_class="DATABASE",
        format_type="dm",
        census={"total_gb": 2},
        kind="video",
        video=VIDEO,
        data_level=3,
    )
    settled = domain.settle(said, before=None, now=NOW)
    provider = OrganizationRef(organization_id=OWN, uscc="11330600002577014T", name="局", division_code="3306")
    made = domain.snapshot(settled, resource_id=OTHER, resource_code="1", version=1, provider=provider, public_url="http://x", now=NOW)
    left_out = {name for name in Definition.model_fields if name not in ResourceSnapshot.model_fields}
    assert left_out == {"is_classified"}
    assert all(getattr(made, name) == getattr(settled, name) for name in Definition.model_fields if name not in left_out)
    assert ResourceSnapshot.model_validate_json(made.model_dump_json()) == made
