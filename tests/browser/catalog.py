"""A catalogue of its own for the tests of its pages: a dozen resources in every state, served where a browser finds it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from catalog_svc.app import create_app
from catalog_svc.settings import BootstrapSettings, Settings
from dxmesh_local.ports import Ports
from dxmesh_runtime import signing
from dxmesh_runtime.settings import AuthSettings, DashboardSettings, DatabaseSettings, KafkaSettings, ServerSettings, SigningSettings
from tests import patient
from tests.e2e.node import uscc

NAMES = (
    "婚姻登记信息", "收养登记信息", "社会组织登记信息", "低保对象信息", "养老机构信息", "殡葬服务信息",
    "降水量观测", "气象灾害预警", "空气质量监测站点", "公交线路站点", "不动产登记簿",
    "一份名称特别特别长的数据资源以看页面在很窄的屏幕上怎样换行",
)  # fmt: skip
UNTIL = ("publication",) * 6 + ("approval", "approval", "submission", "submission", "draft", "draft")
ASSESSED = {
    "secrecy_risk": {"outcome": "passed", "assessed_by": "保密办公室"},
    "personal_information": {"outcome": "none", "assessed_by": "共享工作机构"},
}


@dataclass
class Catalogue:
    """A catalogue of its own, and its resources by name."""

    url: str
    authority: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)

    def page(self, path: str) -> str:
        return f"{self.url}/dashboard{path}"

    def resource(self, name: str, query: str = "") -> str:
        return self.page(f"/resources/{self.ids[name]}{query}")


@contextlib.asynccontextmanager
async def serve(database_url: str, folder: Path) -> AsyncIterator[Catalogue]:
    """Yield a served catalogue with twelve resources in every state, a second version, a draft over it, a withdrawn one, code sets."""
    key_file = folder / "catalog.pem"
    signing.create_key(key_file)
    port = Ports.free().catalog
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        database=DatabaseSettings(url=database_url),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=AuthSettings(issuer=url),
        server=ServerSettings(host="127.0.0.1", port=port, public_url=url),
        signing=SigningSettings(key_file=key_file),
        bootstrap=BootstrapSettings(client_id="node-admin", client_secret="a-secret-of-the-first-client"),
        dashboard=DashboardSettings(loopback_open=True),
    )
    server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=port, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    async with httpx.AsyncClient(base_url=url, timeout=patient.SECONDS) as client:
        async with asyncio.timeout(patient.SECONDS):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/livez")).status_code == 200:
                        break
                await asyncio.sleep(0.02)
        found = Catalogue(url, await _token(client, "node-admin", "a-secret-of-the-first-client"))
        await _fill(client, found)
        yield found
    server.should_exit = True
    await serving


async def _token(client: httpx.AsyncClient, client_id: str, secret: str) -> dict[str, str]:
    answer = await client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret))
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def _send(client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], **options: Any) -> Any:
    answer = await client.request(method, path, headers=headers, **options)
    assert answer.is_success, f"{path}: {answer.text}"
    return answer.json()


def _entry(system_id: str, name: str, *more: str) -> dict[str, Any]:
    item = {"data_type": "C", "length": 30}
    codes = {"code_set": {"name": "gb-t-2260.zhejiang"}, "length": 6, "format": "division"}
    return {
        "system_id": system_id,
        "name": name,
        "summary": f"{name}：全市汇总，按月更新",
        "class_path": "3/30/102/01",
        "update_cycle": "MONTHLY",
        "steward": "数据管理员",
        "key": ["record_code"],
        "items": [
            {"code": "record_code", "name": "编号", **item},
            {"code": "division", "name": "行政区划代码", **item, **codes},
            *({"code": code, "name": f"项 {code}", **item} for code in more),
        ],
    }


async def _fill(client: httpx.AsyncClient, catalogue: Catalogue) -> None:
    authority = catalogue.authority
    for name in ("gb-t-2260.zhejiang", "gb-t-4754", "gb-t-2261.1"):
        await _send(client, "POST", f"/v1/shipped-code-sets/{name}/publication", authority)
    params = {"source": "another list"}
    csv = authority | {"Content-Type": "text/csv"}
    await _send(client, "POST", "/v1/code-sets/gb-t-2260.zhejiang/import", csv, params=params, content="code,label\n330103,下城区\n")
    providers = []
    for number, (name, level) in enumerate((("示例市民政局", "city"), ("示例市气象局", "city"), ("示例县自然资源局", "county"))):
        body = {"name": name, "uscc": uscc(20_000_001 + number), "level": level, "division_code": "330600", "kind": "department"}
        made = await _send(client, "POST", "/v1/organizations", authority, json=body)
        path = f"/v1/organizations/{made['organization_id']}/credentials"
        credential = await _send(client, "POST", path, authority, json={"name": "pages", "roles": ["steward", "cdo"]})
        own = await _token(client, credential["client_id"], credential["client_secret"])
        system = await _send(client, "POST", "/v1/systems", own, json={"name": f"{name}业务系统"})
        providers.append((own, system["system_id"]))
    await _send(client, "POST", "/v1/systems", providers[0][0], json={"name": "尚未编目的系统"})
    for index, (name, until) in enumerate(zip(NAMES, UNTIL, strict=True)):
        own, system_id = providers[index % 3]
        made = await _send(client, "POST", "/v1/resources", own, json=_entry(system_id, name, "phone"))
        catalogue.ids[name] = made["resource_id"]
        await _advance(client, catalogue, name, own, until)
    await _owe(client, catalogue, providers)
    own, system_id = providers[0]
    first = f"/v1/resources/{catalogue.ids[NAMES[0]]}"
    await _send(client, "PUT", first, own, json=_entry(system_id, NAMES[0], "phone", "address"))
    await _advance(client, catalogue, NAMES[0], own, "publication")
    await _send(client, "PUT", first, own, json=_entry(system_id, NAMES[0], "address"))
    await _send(client, "POST", f"{first}/submission", own, json={"reason": "不再收集联系电话"})
    await _send(client, "POST", f"{first}/return", own, json={"reason": "请说明理由"})
    await _send(client, "POST", f"{first}/submission", own, json={"reason": "不再收集联系电话：条例修订"})
    await _send(client, "POST", f"/v1/resources/{catalogue.ids[NAMES[3]]}/withdrawal", own, json={"reason": "职能划转至示例市医疗保障局"})


async def _owe(client: httpx.AsyncClient, catalogue: Catalogue, providers: list[tuple[dict[str, str], str]]) -> None:
    """Claim a source, bring it before the authority, compare a form, owe an update and an entry of a list."""
    (own, _), (other, _), _ = providers
    held, wanted = catalogue.ids[NAMES[0]], catalogue.ids[NAMES[1]]
    await _send(client, "POST", "/v1/source-claims", own, json={"resource_id": held, "item": "division"})
    case = {"resource_id": wanted, "item": "division", "statement": "本单位核验更完整"}
    form = {"name": "申领表", "items": [{"name": "行政区划代码", "data_type": "C"}, {"name": "鞋码"}]}
    change = {"resource_id": held, "change": "law", "basis": "示例条例", "reason": "条例修订后须更新目录", "changed_on": "2025-08-04"}
    catalogue.ids["case"] = (await _send(client, "POST", "/v1/arbitrations", other, json=case))["case_id"]
    catalogue.ids["form"] = (await _send(client, "POST", "/v1/forms", own, json=form))["form_id"]
    catalogue.ids["duty"] = (await _send(client, "POST", "/v1/duties", own, json=change))["duty_id"]
    entry = {"name": "低保对象", "content": "每月归集", "due_on": "2030-12-31"}
    await _send(client, "POST", "/v1/lists/duty", own, json=entry)
    scenario = {"name": "老年人优待证", "due_on": "2030-12-31"}
    catalogue.ids["scenario"] = (await _send(client, "POST", "/v1/lists/scenario", own, json=scenario))["entry_id"]


async def _advance(client: httpx.AsyncClient, catalogue: Catalogue, name: str, own: dict[str, str], until: str) -> None:
    path = f"/v1/resources/{catalogue.ids[name]}"
    ways = {
        "submission": ("submission", own, {}),
        "approval": ("approval", own, ASSESSED),
        "publication": ("publish", catalogue.authority, {}),
    }
    for state, (step, headers, body) in ways.items():
        if until == "draft":
            return
        await _send(client, "POST", f"{path}/{step}", headers, json=body)
        if state == until:
            return


async def is_sound(page: Page, name: str, *, by_axe: bool = True) -> None:
    """Check a page for faults of accessibility (axe: serious and critical) and for sideways scrolling."""
    found = (await Axe().run(page)).response["violations"] if by_axe else []
    faults = [f"{one['id']}: {node['html'][:200]}" for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]]
    assert faults == [], name
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} scrolls sideways by {wide} px"
