"""Fill once (X14): a new form's items against the catalogue, and what is collected more than once."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from catalog_svc.claim.consumers import HANDLERS
from catalog_svc.form import store
from catalog_svc.matching import store as index
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog_events import ResourcePublished, ResourceWithdrawn

NOBODY = "00000000-0000-0000-0000-000000000000"
BASIS = {"kind": "law", "title": "中华人民共和国数据安全法", "article": "第三十八条"}


def text(code: str, name: str, **changes: Any) -> dict[str, Any]:
    return {"code": code, "name": name, "data_type": "C", **changes}


class Catalogue:
    """Two departments with published, indexed resources."""

    def __init__(self, node: Any) -> None:
        self.node = node

    async def begin(self) -> "Catalogue":
        self.police = await self.node.organization("公安局")
        self.market = await self.node.organization("市场监管局")
        self.population = await self.published(
            self.police,
            "人口信息",
            [
                text("id_number", "公民身份号码", format="resident_id"),
                text("person_name", "姓名"),
                {"code": "birth", "name": "出生日期", "data_type": "D"},
                text("remark", "备注"),
                text("address", "户籍地址", sharing_type="CONDITIONAL"),
            ],
            sharing_condition="依法履行职责,用于业务协同",
            sharing_reason="含个人信息",
            sharing_purposes=["COLLABORATION"],
        )
        self.firms = await self.published(
            self.market,
            "企业登记",
            [text("uscc", "统一社会信用代码", format="uscc"), text("firm", "企业名称"), text("sfzh", "身份证号"), text("bz", "备注")],
        )
        await self.index()
        return self

    async def published(self, organization: Any, name: str, items: list[dict[str, Any]], **changes: Any) -> Any:
        system = await self.node.system(organization, f"{name}系统")
        return await self.node.published(organization, system, name=name, items=items, key=[], **changes)

    async def index(self) -> None:
        """Let the events take effect, as the worker does."""
        for event in await self.node.events():
            if isinstance(event, ResourcePublished | ResourceWithdrawn):
                await deliver(self.node.sessions, HANDLERS, event)

    async def enter(self, *items: Any, name: str = "困难群众救助申请表", headers: Any = None) -> Any:
        body = {"name": name, "items": [item if isinstance(item, dict) else {"name": item} for item in items]}
        return await self.node.client.post("/v1/forms", json=body, headers=headers or self.node.steward(self.market))


@pytest.fixture
async def catalogue(node: Any) -> Catalogue:
    return await Catalogue(node).begin()


async def test_a_form_learns_what_need_not_be_collected_again_what_is_doubtful_and_what_is_new(catalogue: Catalogue) -> None:
    node = catalogue.node
    claimed = await node.client.post(
        "/v1/source-claims",
        json={"resource_id": catalogue.population["resource_id"], "item": "id_number"},
        headers=node.steward(catalogue.police),
    )
    assert claimed.status_code == 201
    answer = await catalogue.enter("身份证号码", "家庭住址门牌", "出生年月日", "申请人姓名", "户口所在地", "救助金额", "备注")
    assert answer.status_code == 201, answer.text
    form = answer.json()
    assert {finding["name"]: finding["outcome"] for finding in form["findings"]} == {
        "身份证号码": "held",
        "家庭住址门牌": "new",
        "出生年月日": "held",
        "申请人姓名": "doubtful",
        "户口所在地": "held",
        "救助金额": "new",
        "备注": "new",
    }
    assert (form["held_count"], form["doubtful_count"], form["new_count"], form["withheld_count"]) == (3, 1, 3, 0)
    first, second = form["findings"][0]["matches"]
    assert (first["organization_name"], first["item"], first["is_source"], first["verdict"]) == ("公安局", "id_number", True, "same")
    assert (second["organization_name"], second["item"], second["is_source"]) == ("市场监管局", "sfzh", False)
    assert first["how_to_ask"] == {
        "method": "POST",
        "href": "/v1/requests",
        "body": {"resource_id": catalogue.population["resource_id"], "items": ["id_number"]},
        "answered_within_working_days": 1,
    }
    address = form["findings"][4]["matches"][0]
    assert (address["sharing_type"], address["how_to_ask"]["answered_within_working_days"]) == ("CONDITIONAL", 10)
    assert all(match["reasons"] for finding in form["findings"] for match in finding["matches"])
    kept = (await node.client.get(answer.headers["location"], headers=node.authority)).json()
    assert kept == form


async def test_what_is_not_shared_is_withheld_and_cannot_be_asked_for(catalogue: Catalogue) -> None:
    guarded = [text("secret_no", "线人编号", sharing_type="NOT_SHARED")]
    await catalogue.published(catalogue.police, "线人", guarded, non_sharing_basis=BASIS)
    await catalogue.index()
    [finding] = (await catalogue.enter("线人号")).json()["findings"]
    assert (finding["outcome"], finding["matches"][0]["how_to_ask"]) == ("withheld", None)


async def test_a_type_a_form_or_a_code_set_that_does_not_fit_makes_a_match_doubtful(catalogue: Catalogue) -> None:
    answer = await catalogue.enter(
        {"name": "出生日期", "data_type": "D"},
        {"name": "出生时间", "data_type": "N"},
        {"name": "证件号码", "data_type": "C", "format": "resident_id"},
        {"name": "公民身份号码", "data_type": "C", "format": "uscc"},
    )
    findings = answer.json()["findings"]
    assert [finding["outcome"] for finding in findings] == ["held", "new", "held", "held"]
    assert [match["item"] for match in findings[3]["matches"]] == ["sfzh"], "the item of another form is none"


async def test_a_form_is_compared_again_after_the_catalogue_has_changed(catalogue: Catalogue) -> None:
    node = catalogue.node
    form = (await catalogue.enter("企业名称")).json()
    assert form["held_count"] == 1
    path = f"/v1/resources/{catalogue.firms['resource_id']}/withdrawal"
    assert (await node.client.post(path, json={"reason": "停用"}, headers=node.steward(catalogue.market))).status_code == 200
    again = await node.client.post(f"/v1/forms/{form['form_id']}/comparison", headers=node.steward(catalogue.market))
    assert again.json()["findings"][0]["outcome"] == "new", "a withdrawn resource gives nothing, also before its event is handled"
    await catalogue.index()
    after = await node.client.post(f"/v1/forms/{form['form_id']}/comparison", headers=node.authority)
    assert (after.json()["new_count"], after.json()["matched_at"] > form["matched_at"]) == (1, True)


async def test_a_form_of_a_thousand_items_is_compared_in_one_go_and_one_more_is_refused(catalogue: Catalogue, is_problem: Any) -> None:
    items = ["身份证号码", *(f"第{number}项指标数值" for number in range(999))]
    form = (await catalogue.enter(*items)).json()
    assert (form["held_count"], len(form["findings"])) == (1, 1000)
    refused = is_problem(await catalogue.enter(*items, "多出一项"), 422)
    assert refused["errors"][0]["pointer"] == "/items"


async def test_an_item_that_cannot_be_read_is_refused_with_its_place(catalogue: Catalogue, is_problem: Any) -> None:
    for item, pointer in (
        ({"name": ""}, "/items/0/name"),
        ({"name": " 　"}, "/items/0/name"),
        ({"name": "身份\u200b证号"}, "/items/0/name"),
        ({"name": "身份证号１８"}, "/items/0/name"),
        ({"name": "a\x00"}, "/items/0/name"),
        ({"name": "字" * 201}, "/items/0/name"),
        ({"name": "姓名", "data_type": "Q"}, "/items/0/data_type"),
        ({"name": "姓名", "length": 0}, "/items/0/length"),
        ({"name": "姓名", "title": "x"}, "/items/0/title"),
        ({}, "/items/0/name"),
    ):
        refused = is_problem(await catalogue.enter(item), 422)
        assert refused["errors"][0]["pointer"] == pointer, item
    is_problem(await catalogue.enter(), 422)
    is_problem(await catalogue.enter("姓名", name=" "), 422)


async def test_names_in_any_script_are_answered(catalogue: Catalogue, is_problem: Any) -> None:
    names = ["()", "…", "🙂", "Имя", "姓名/Name/Имя", "%", "_", "'; drop table form; --", "(必填)", "а" * 200, "|", "~0", "姓名|姓"]
    answer = await catalogue.enter(*names)
    assert answer.status_code == 201, answer.text
    assert {finding["outcome"] for finding in answer.json()["findings"]} <= {"new", "doubtful"}
    is_problem(await catalogue.enter("ＡＢ", name="另一张表"), 422)


async def test_forms_belong_to_their_organization(catalogue: Catalogue, is_problem: Any) -> None:
    node = catalogue.node
    form = (await catalogue.enter("姓名")).json()
    path = f"/v1/forms/{form['form_id']}"
    is_problem(await node.client.get(path, headers=node.steward(catalogue.police)), 404, "form-not-found")
    is_problem(await node.client.post(f"{path}/comparison", headers=node.steward(catalogue.police)), 404, "form-not-found")
    is_problem(await node.client.post(f"{path}/comparison", headers=node.headers(None, "auditor")), 403)
    assert (await node.client.get(path, headers=node.headers(None, "auditor"))).status_code == 200
    assert (await node.client.get("/v1/forms", headers=node.steward(catalogue.police))).json()["items"] == []
    assert len((await node.client.get("/v1/forms", headers=node.steward(catalogue.market))).json()["items"]) == 1
    assert is_problem(await catalogue.enter("姓名", name="困难群众救助申请表 "), 409, "form-name-taken")["form_id"] == form["form_id"]
    is_problem(await catalogue.enter("姓名", name="甲", headers=node.headers(catalogue.market["organization_id"], "auditor")), 403)
    body = {"name": "乙", "items": [{"name": "姓名"}], "organization_id": catalogue.police["organization_id"]}
    is_problem(await node.client.post("/v1/forms", json=body, headers=node.steward(catalogue.market)), 404, "organization-not-found")
    is_problem(await node.client.post("/v1/forms", json=body | {"organization_id": NOBODY}, headers=node.authority), 404)
    unnamed = {"name": "丙", "items": [{"name": "姓名"}]}
    refused = is_problem(await node.client.post("/v1/forms", json=unnamed, headers=node.authority), 422)
    assert refused["errors"][0]["pointer"] == "/organization_id"
    assert (await node.client.post("/v1/forms", json=body, headers=node.authority)).status_code == 201


async def test_what_two_departments_collect_is_listed_once_with_its_source(catalogue: Catalogue) -> None:
    node = catalogue.node
    path = "/v1/reports/repeat-collection"
    [repeat] = (await node.client.get(path, headers=node.headers(None))).json()["items"]
    assert (repeat["name"], repeat["division_code"], repeat["organization_count"], repeat["item_count"], repeat["has_source"]) == (
        "公民身份号码",
        "330600",
        2,
        2,
        False,
    )
    assert {item["item_name"] for item in repeat["items"]} == {"公民身份号码", "身份证号"}
    body = {"resource_id": catalogue.population["resource_id"], "item": "id_number"}
    assert (await node.client.post("/v1/source-claims", json=body, headers=node.steward(catalogue.police))).status_code == 201
    [repeat] = (await node.client.get(path, params={"division": "330600"}, headers=node.headers(None))).json()["items"]
    assert (repeat["has_source"], repeat["items"][0]["is_source"], repeat["items"][0]["item"]) == (True, True, "id_number")
    assert (await node.client.get(path, params={"division": "330100"}, headers=node.headers(None))).json()["items"] == []


async def test_an_item_that_refers_to_another_resource_is_not_collected_again(catalogue: Catalogue) -> None:
    node = catalogue.node
    civil = await node.organization("民政局")
    reference = {"resource_id": catalogue.population["resource_id"], "item": "person_name"}
    await catalogue.published(civil, "婚姻登记", [text("party", "姓名", reference=reference), text("mz", "民族")])
    tax = await node.organization("税务局")
    await catalogue.published(tax, "自然人纳税人", [text("mz", "民族")])
    await catalogue.index()
    found = (await node.client.get("/v1/reports/repeat-collection", headers=node.authority)).json()["items"]
    assert [one["name"] for one in found] == sorted(["公民身份号码", "民族"])


async def test_repeats_come_page_by_page(catalogue: Catalogue, is_problem: Any) -> None:
    node = catalogue.node
    other = await node.organization("民政局")
    await catalogue.published(
        other, "救助对象", [text("n", "姓名"), text("u", "企业名称"), {"code": "b", "name": "出生日期", "data_type": "D"}]
    )
    await catalogue.index()
    names: list[str] = []
    cursor = None
    for _ in range(4):
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await node.client.get("/v1/reports/repeat-collection", params=params, headers=node.authority)).json()
        names += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert (sorted(names), cursor) == (sorted(["公民身份号码", "姓名", "企业名称", "出生日期"]), None)
    for bad in ("x", "////", "MQ"):
        is_problem(
            await node.client.get("/v1/reports/repeat-collection", params={"cursor": bad}, headers=node.authority), 422, "cursor-invalid"
        )


async def test_a_form_that_is_like_thousands_of_items_is_compared_with_all_of_them(catalogue: Catalogue) -> None:
    resource_id, keys = UUID(catalogue.population["resource_id"]), [f"like{number}" for number in range(12_000)]
    async with catalogue.node.sessions() as tx:  # not committed
        known = (await tx.scalars(select(index.ItemEntry).where(index.ItemEntry.resource_id == resource_id).limit(1))).one()
        of_all = {column.name: getattr(known, column.name) for column in index.ItemEntry.__table__.columns}
        await index.put_entries(tx, [resource_id], [of_all | {"item": key, "key": key} for key in keys])
        found = await store.catalogued(tx, keys, most=5)
        assert {key: [one.entry.item for one in listed] for key, listed in found.items()} == {key: [key] for key in keys}
        places = [(of_all["division_code"], key, of_all["kind"]) for key in keys]
        assert {one.item for one in await store.collectors(tx, places, most=5)} == set(keys)
