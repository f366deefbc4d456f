"""Sources and arbitration at the desk: claimed, refused with the holder named, given up, argued, decided and objected to."""

from typing import Any

import pytest

from dxmesh_schemas.catalog_sources import ArbitrationDecided, ArbitrationObjected, SourceAssigned, SourceReleased


class Sides:
    """The police, who hold a source, and the civil affairs office that wants it; each by its steward."""

    def __init__(self, node: Any, desk: Any) -> None:
        self.node, self.desk = node, desk

    async def begin(self) -> "Sides":
        self.police, self.population = await self.side("示例市公安局", "人口信息", "公民身份号码")
        self.civil, self.marriages = await self.side("示例市民政局", "婚姻信息", "身份证号")
        return self

    async def side(self, name: str, resource: str, item: str) -> tuple[dict[str, str], dict[str, str]]:
        organization = await self.node.organization(name)
        system = await self.node.system(organization, f"{name}系统")
        items = [{"code": "id_number", "name": item, "data_type": "C", "length": 18}, {"code": "id", "name": "ID", "data_type": "I"}]
        made = await self.node.published(organization, system, name=resource, items=items, key=[])
        return self.node.steward(organization), {"/resource_id": made["resource_id"], "/item": "id_number"}

    async def claimed(self) -> str:
        """Let the police claim their item; return the source's address."""
        led = await self.desk.send("/sources/new", self.population, self.police)
        address: str = led.headers["location"].removeprefix("/dashboard")
        return address

    async def opened(self) -> str:
        """Let the civil affairs office bring its item before the authority; return the case's address."""
        await self.claimed()
        led = await self.desk.send("/arbitrations/new", self.marriages | {"/statement": "登记时当面核验"}, self.civil)
        address: str = led.headers["location"].removeprefix("/dashboard")
        return address


@pytest.fixture
async def sides(node: Any, desk: Any) -> Sides:
    return await Sides(node, desk).begin()


async def test_a_source_is_claimed_refused_with_its_holder_and_given_up(sides: Sides) -> None:
    desk, node = sides.desk, sides.node
    resource = sides.population["/resource_id"]
    assert f"/sources/new?resource={resource}" in await desk.page(f"/resources/{resource}", sides.police)
    assert "/sources/new?" not in await desk.page(f"/resources/{resource}", sides.civil)
    assert "公民身份号码 · id_number" in await desk.page(f"/sources/new?resource={resource}", sides.police)
    address = await sides.claimed()
    assert address in await desk.page("/sources", sides.civil)
    assert "已是数源" in await desk.page(f"/sources/new?resource={resource}", sides.police)
    text = await desk.refused("/sources/new", sides.marriages, sides.civil, 409)
    assert "which is the division" in desk.at(text, "/item")
    for shown in ("该数据已有数源", "示例市公安局", "人口信息", address, "/arbitrations/new?", 'value="id_number" selected'):
        assert shown in text, shown
    assert f"{address}/release" not in await desk.page(address, sides.civil)
    assert "Required" in desk.at(await desk.refused(f"{address}/release", {}, sides.police, 422), "/reason")
    await desk.refused(f"{address}/release", {"/reason": "x"}, sides.civil, 403)
    await desk.send(f"{address}/release", {"/reason": "职能划转"}, sides.police)
    assert "职能划转" in await desk.page(address, sides.civil)
    assert "该数源已放弃" in await desk.refused(f"{address}/release", {"/reason": "再次"}, sides.police, 409)
    await desk.send("/sources/new", sides.marriages, sides.civil)
    kinds = [type(event) for event in await node.events() if isinstance(event, SourceAssigned | SourceReleased)]
    assert kinds == [SourceAssigned, SourceReleased, SourceAssigned]


async def test_a_claim_that_cannot_be_is_refused_at_its_field(sides: Sides) -> None:
    desk, node = sides.desk, sides.node
    for item, said in (("", "Required"), ("moon", "has no item"), ("id", "keeps a table")):
        text = await desk.refused("/sources/new", sides.population | {"/item": item}, sides.police, 422)
        assert said in desk.at(text, "/item"), item
    await desk.refused("/sources/new", sides.population, sides.civil, 403)
    await desk.page(f"/sources/new?resource={sides.population['/resource_id']}", sides.civil, 403)
    for odd in ("00000000-0000-0000-0000-000000000000", "moon"):
        await desk.refused("/sources/new", {"/resource_id": odd, "/item": "id_number"}, sides.police, 404)
    await desk.page("/sources/00000000-0000-0000-0000-000000000000", sides.police, 404)
    assert not [event for event in await node.events() if isinstance(event, SourceAssigned)]


async def test_a_case_is_opened_argued_decided_and_objected_to(sides: Sides) -> None:
    desk, node = sides.desk, sides.node
    case = await sides.opened()
    text = await desk.refused("/arbitrations/new", sides.marriages | {"/statement": "再次"}, sides.civil, 409)
    assert "add a statement" in desk.at(text, "/item")
    assert case in text
    await desk.send(f"{case}/statements", {"/text": "我局是法定登记机关"}, sides.police)
    assert "Required" in desk.at(await desk.refused(f"{case}/statements", {"/text": ""}, sides.civil, 422), "/text")
    assert f"{case}/decision" not in await desk.page(case, sides.police)
    text = await desk.refused(f"{case}/decision", {"/outcome": "moon", "/reason": "核验更完整"}, node.authority, 422)
    assert "claimant" in desk.at(text, "/outcome")
    assert ">\n核验更完整</textarea>" in text
    assert "Required" in desk.at(await desk.refused(f"{case}/decision", {"/outcome": "claimant"}, node.authority, 422), "/reason")
    early = {"/outcome": "claimant", "/reason": "核验更完整", "/document": "示政函〔2026〕1号"}
    text = await desk.refused(f"{case}/decision", early, node.authority, 422)
    assert "裁决填写有误" in text
    assert "leave it out" in text
    await desk.send(f"{case}/decision", {"/outcome": "claimant", "/reason": "核验更完整"}, node.authority)
    assert f"{case}/objection" not in await desk.page(case, sides.civil), "it went their way"
    assert "该事项已裁决" in await desk.refused(f"{case}/decision", {"/outcome": "holder", "/reason": "x"}, node.authority, 409)
    assert "Required" in desk.at(await desk.refused(f"{case}/objection", {}, sides.police, 422), "/reason")
    await desk.send(f"{case}/objection", {"/reason": "于法无据"}, sides.police)
    text = await desk.refused(f"{case}/decision", {"/outcome": "holder", "/reason": "依法"}, node.authority, 422)
    assert "is missing" in desk.at(text, "/document")
    final = {"/outcome": "holder", "/reason": "依法", "/document": "示政函〔2026〕1号"}
    await desk.send(f"{case}/decision", final, node.authority)
    text = await desk.page(case, sides.police)
    for shown in ("我局是法定登记机关", "登记时当面核验", "示政函〔2026〕1号", "已终局", "于法无据"):
        assert shown in text, shown
    assert "What to do" not in text
    events = [event for event in await node.events() if isinstance(event, ArbitrationDecided | ArbitrationObjected)]
    assert [type(event) for event in events] == [ArbitrationDecided, ArbitrationObjected, ArbitrationDecided]


async def test_a_case_is_taken_back_by_its_claimant_and_seen_by_its_sides(sides: Sides) -> None:
    desk, node = sides.desk, sides.node
    case = await sides.opened()
    stranger = node.steward(await node.organization("示例市气象局"))
    await desk.page(case, stranger, 404)
    sent = {"/text": "x"}, {"/outcome": "holder", "/reason": "x"}, {"/reason": "x"}, {"/reason": "x"}
    for name, values in zip(("statements", "decision", "objection", "withdrawal"), sent, strict=True):
        await desk.refused(f"{case}/{name}", values, stranger, 404)
    await desk.refused(f"{case}/withdrawal", {"/reason": "x"}, sides.police, 403)
    await desk.refused(f"{case}/decision", {"/outcome": "holder", "/reason": "x"}, sides.civil, 403)
    assert "该事项尚未裁决" in await desk.refused(f"{case}/objection", {"/reason": "x"}, sides.police, 409)
    assert f"{case}/withdrawal" not in await desk.page(case, sides.police)
    assert f"{case}/withdrawal" in await desk.page(case, sides.civil)
    assert "Required" in desk.at(await desk.refused(f"{case}/withdrawal", {}, sides.civil, 422), "/reason")
    await desk.send(f"{case}/withdrawal", {"/reason": "双方协商一致"}, sides.civil)
    assert "双方协商一致" in await desk.page(case, sides.police)
    assert "该事项已结束" in await desk.refused(f"{case}/statements", {"/text": "x"}, sides.police, 409)


async def test_a_case_that_cannot_be_opened_is_refused_at_its_field(sides: Sides) -> None:
    desk = sides.desk
    text = await desk.refused("/arbitrations/new", sides.marriages | {"/statement": "核验"}, sides.civil, 409)
    assert "claim it" in desk.at(text, "/item")
    await sides.claimed()
    text = await desk.refused("/arbitrations/new", sides.marriages, sides.civil, 422)
    assert "Required" in desk.at(text, "/statement")
    text = await desk.refused("/arbitrations/new", sides.marriages | {"/item": "moon", "/statement": "核验"}, sides.civil, 422)
    assert "has no item" in desk.at(text, "/item")
    assert ">\n核验</textarea>" in text
    await desk.refused("/arbitrations/new", sides.marriages | {"/statement": "核验"}, sides.police, 403)
    address = f"/arbitrations/new?resource={sides.marriages['/resource_id']}&item=id_number"
    assert 'value="id_number" selected' in await desk.page(address, sides.civil)
    await desk.page(address, sides.police, 403)
