"""Which resources may meet a demand: labelled cases, and what counts."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_lists import ListEntryEntered, ListEntryEvent
from exchange_svc.demand.domain import LEAST, Index, Published, check_asks, normal, subject
from exchange_svc.demand.errors import DemandOver, NotYourDemand

AT = datetime(2026, 11, 1, tzinfo=UTC)


def department(number: int, name: str) -> OrganizationRef:
    return OrganizationRef(organization_id=UUID(int=number), uscc="11330600MB1573660P", name=name, division_code="330600")


CIVIL, POLICE, MARKET, HEALTH, SCHOOLS, ROADS, LABOUR, LAND = (
    department(number, name)
    for number, name in enumerate(("民政局", "公安局", "市场监管局", "卫健委", "教育局", "交通局", "人社局", "自然资源局"), start=1)
)
ASKING = department(99, "医保局")
PUBLISHED: dict[str, tuple[OrganizationRef, list[str]]] = {
    "婚姻登记信息": (CIVIL, ["男方姓名", "女方姓名", "登记日期", "登记机关", "证件号码"]),
    "最低生活保障对象名录": (CIVIL, ["姓名", "公民身份号码", "保障金额", "居住地址", "起始日期"]),
    "残疾人证持有人信息": (CIVIL, ["姓名", "公民身份号码", "残疾类别", "残疾等级"]),
    "殡葬火化信息": (CIVIL, ["逝者姓名", "公民身份号码", "死亡日期", "火化日期"]),
    "户籍人口基本信息": (POLICE, ["姓名", "公民身份号码", "性别", "出生日期", "户籍地址"]),
    "机动车登记信息": (POLICE, ["号牌号码", "车辆类型", "所有人姓名", "注册日期"]),
    "市场主体登记信息": (MARKET, ["统一社会信用代码", "企业名称", "法定代表人", "注册资本", "经营范围", "成立日期"]),
    "食品经营许可证信息": (MARKET, ["许可证编号", "经营者名称", "统一社会信用代码", "有效期至"]),
    "医疗机构执业许可证信息": (HEALTH, ["登记号", "机构名称", "诊疗科目", "床位数"]),
    "出生医学证明信息": (HEALTH, ["新生儿姓名", "出生日期", "母亲姓名", "证明编号"]),
    "中小学在校学生学籍信息": (SCHOOLS, ["姓名", "公民身份号码", "学校名称", "年级", "学籍号"]),
    "道路运输经营许可信息": (ROADS, ["许可证编号", "业户名称", "经营范围", "有效期至"]),
    "社会保险参保缴费信息": (LABOUR, ["姓名", "公民身份号码", "险种", "缴费基数", "缴费年月"]),
    "不动产登记信息": (LAND, ["不动产权证号", "权利人", "坐落", "面积", "用途"]),
}
INDEX = Index(
    Published(UUID(int=1000 + number), name, "CONDITIONAL", provider, {f"i{place}": item for place, item in enumerate(items)})
    for number, (name, (provider, items)) in enumerate(PUBLISHED.items())
)


def demand(name: str, content: str = "", **changes: Any) -> ListEntryEvent:
    fields: dict[str, Any] = {
        "entry_id": UUID(int=7),
        "kind": "demand",
        "revision": 1,
        "owner": ASKING,
        "name": name,
        "content": content,
        "status": "pending",
        "due_on": date(2026, 12, 31),
        "changed_at": AT,
        "changed_by": "医保局",
    }
    return ListEntryEntered(**fields | changes)


LABELLED = [
    (demand("结婚登记情况"), "婚姻登记信息"),
    (demand("低保人员数据"), "最低生活保障对象名录"),
    (demand("残障人士清单"), "残疾人证持有人信息"),
    (demand("死亡人员信息", "需要公民身份号码、死亡时间、火化日期,用于停发待遇"), "殡葬火化信息"),
    (demand("人口信息", "姓名、身份证号、性别、出生年月、户口所在地"), "户籍人口基本信息"),
    (demand("车辆信息", "号牌号码、车辆类型"), "机动车登记信息"),
    (demand("企业登记信息", "社会信用代码、企业名称、法人代表、经营范围"), "市场主体登记信息"),
    (demand("餐饮单位证照", "食品经营许可证信息:许可证编号、经营者名称"), "食品经营许可证信息"),
    (demand("医院床位", "机构名称、床位数、诊疗科目"), "医疗机构执业许可证信息"),
    (demand("新生儿出生情况", "新生儿姓名、出生日期、母亲姓名"), "出生医学证明信息"),
    (demand("在校学生学籍"), "中小学在校学生学籍信息"),
    (demand("社保缴费"), "社会保险参保缴费信息"),
    (demand("房产登记", "权利人、坐落"), "不动产登记信息"),
]
NOTHING_HERE = [demand("气象预警信号"), demand("水库水位监测", "水位、库容、时间"), demand("空气质量日报", "站点、PM2.5")]


def test_the_first_candidate_of_labelled_demands_is_the_one_a_clerk_would_name() -> None:
    first = [next((one.resource.name for one in INDEX.candidates(one, most=5)), None) for one, _ in LABELLED]
    missed = [(one.name, found, expected) for (one, expected), found in zip(LABELLED, first, strict=True) if found != expected]
    assert missed == []


@pytest.mark.parametrize("nothing", NOTHING_HERE, ids=lambda one: one.name)
def test_what_nobody_publishes_has_no_candidate(nothing: ListEntryEvent) -> None:
    assert INDEX.candidates(nothing, most=5) == []


def test_candidates_are_few_and_say_why() -> None:
    offered = [INDEX.candidates(one, most=20) for one, _ in LABELLED]
    assert sum(map(len, offered)) / len(offered) <= 3
    first = INDEX.candidates(LABELLED[3][0], most=1)[0]
    assert first.items == ("i1", "i2", "i3")
    assert "has 3 of the 3 items it speaks of: 公民身份号码, 死亡日期, 火化日期" in first.reasons
    assert all(LEAST <= one.score <= 1 for group in offered for one in group)


def test_a_name_that_is_part_of_a_longer_one_spoken_of_does_not_count() -> None:
    both = Index([Published(UUID(int=1), "甲", "CONDITIONAL", CIVIL, {"a": "户籍地址", "b": "地址", "c": "性别"})])
    [found] = both.candidates(demand("乙", "户籍地址、性别"), most=1)
    assert found.items == ("a", "c")


def test_a_resource_that_is_named_comes_first_with_the_items_named() -> None:
    wanted = demand("别的", resource_id=UUID(int=1004), items=("i1", "i4", "gone"))
    [first, *_] = INDEX.candidates(wanted, most=5)
    assert (first.resource.name, first.score, first.items, first.reasons) == (
        "户籍人口基本信息",
        1.0,
        ("i1", "i4"),
        ("the demand names it",),
    )


def test_who_is_asked_counts_and_ones_own_is_left_out() -> None:
    asked = INDEX.candidates(demand("经营许可信息", counterpart=ROADS), most=5)
    assert asked[0].resource.name == "道路运输经营许可信息"
    assert "its provider is the department that is asked" in asked[0].reasons
    elsewhere = {one.resource.name: one.score for one in INDEX.candidates(demand("经营许可信息", counterpart=MARKET), most=5)}
    assert elsewhere["食品经营许可证信息"] > elsewhere["道路运输经营许可信息"]
    assert INDEX.candidates(demand("婚姻登记信息", owner=CIVIL), most=1) == []


def test_names_are_compared_without_notes_width_and_empty_words() -> None:
    assert normal("身份证号码(18位)") == normal("居民身份证号") == "公民身份号码"
    assert (subject("婚姻登记基本信息"), subject("信息"), subject("ＰＭ2.5 数据")) == ("婚姻登记", "信息", "pm25")
    assert Index(()).candidates(demand("人口"), most=5) == []


def test_a_department_asks_by_its_own_open_demand() -> None:
    check_asks(demand("人口"), ASKING.organization_id)
    with pytest.raises(NotYourDemand):
        check_asks(demand("人口"), CIVIL.organization_id)
    with pytest.raises(DemandOver):
        check_asks(demand("人口", status="done"), ASKING.organization_id)
