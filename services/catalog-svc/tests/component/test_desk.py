"""The pages as a desk: who may act on what, from registration to publication, refusals at their fields, stale and foreign forms."""

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from catalog_svc.app import create_app
from catalog_svc.settings import DeskSettings
from dxmesh_runtime.settings import DashboardSettings
from dxmesh_runtime.testing import serving

OWN = {"Origin": "http://service.test"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ENTRY = {
    "/name": "婚姻登记信息",
    "/summary": "全市婚姻登记汇总",
    "/class_path": "3/30/102/01",
    "/update_cycle": "MONTHLY",
    "/steward": "婚姻登记处数据管理员",
    "/open_type": "CLOSED",
    "/items/0/code": "record",
    "/items/0/name": "登记编号",
    "/items/0/data_type": "C",
    "/items/0/in_key": "true",
    "/items/1/code": "day",
    "/items/1/name": "登记日期",
    "/items/1/data_type": "D",
}
ASSESSED = {
    "/secrecy_risk/outcome": "passed",
    "/secrecy_risk/assessed_by": "保密办",
    "/personal_information/outcome": "none",
    "/personal_information/assessed_by": "法规处",
}


NEW_ITEM = {"/items/2/code": "x", "/items/2/name": "新项", "/items/2/data_type": "C"}


async def send(node: Any, path: str, values: dict[str, Any], headers: dict[str, str], status: int = 303) -> httpx.Response:
    """Send a form as a browser does, by default expecting to be led on."""
    content = urlencode(values, doseq=True)
    answer = await node.client.post(f"/dashboard{path}", content=content, headers=headers | OWN | FORM)
    assert answer.status_code == status, re.findall(r'class="fault"[^>]*>[^<]*|<title>[^<]*', answer.text) or answer.text
    return answer


async def page(node: Any, path: str, headers: dict[str, str], status: int = 200) -> str:
    answer = await node.client.get(f"/dashboard{path}", headers=headers)
    assert answer.status_code == status, answer.text
    text: str = answer.text
    return text


def hidden(text: str, name: str, action: str = "") -> str:
    """Return what a page's form carries unseen."""
    part = text[text.index(f'action="{action}"') if action else 0 :]
    found = re.search(rf'name="{name}" value="([^"]*)"', part)
    assert found is not None, name
    return unescape(found[1])


def at(text: str, pointer: str) -> str:
    """Return what a page says is wrong with a field."""
    found = re.search(rf'<p class="fault" id="[a-z]+{re.escape(pointer)}!1">([^<]*)</p>', text)
    return unescape(found[1]) if found else ""


async def entered(node: Any, **changes: Any) -> tuple[dict[str, Any], str]:
    """Enter a resource over its form; return the organization and the resource's address."""
    organization, system = await node.provider()
    answer = await send(node, "/resources/new", ENTRY | {"/system_id": system["system_id"]} | changes, node.steward(organization))
    return organization, answer.headers["location"].removeprefix("/dashboard")


async def step(node: Any, address: str, name: str, headers: dict[str, str], values: dict[str, Any] | None = None, status: int = 303) -> str:
    """Take a step on a resource's page, on what the page shows now."""
    text = await page(node, address, headers)
    carried = {"revision": hidden(text, "revision", f"/dashboard{address}/{name}"), "read": hidden(text, "read")}
    answer = await send(node, f"{address}/{name}", carried | (values or {}), headers, status)
    return answer.text


async def test_from_registration_to_publication_and_withdrawal_on_the_pages(node: Any, make_code: Any) -> None:
    values = {"/name": "示例市民政局", "/uscc": make_code(77), "/level": "city", "/division_code": "330600", "/kind": "department"}
    led = await send(node, "/organizations/new", values, node.authority)
    assert "示例市民政局" in await page(node, led.headers["location"].removeprefix("/dashboard"), node.authority)
    found = (await node.client.get("/v1/organizations", headers=node.authority)).json()["items"][0]
    steward, cdo = node.steward(found), node.cdo(found)
    await send(node, "/systems/new", {"/name": "婚姻登记系统", "/kind": "own"}, steward)
    system = (await node.client.get("/v1/systems", headers=steward)).json()["items"][0]
    led = await send(node, "/resources/new", ENTRY | {"/system_id": system["system_id"]}, steward)
    address = led.headers["location"].removeprefix("/dashboard")
    await step(node, address, "submission", steward, {"/reason": "新增职能"})
    await step(node, address, "return", cdo, {"/reason": "请补充", "/faults/0/pointer": "/items/1", "/faults/0/detail": "缺少长度"})
    form = await page(node, f"{address}/entry", steward)
    assert at(form, "/items/1") == "缺少长度", "what it was returned for stands at its field"
    changed = ENTRY | {"/system_id": system["system_id"], "revision": hidden(form, "revision"), "/summary": "全市婚姻登记按月汇总"}
    await send(node, f"{address}/entry", changed, steward)
    await step(node, address, "submission", steward)
    await step(node, address, "approval", cdo, ASSESSED)
    await step(node, address, "publish", node.authority, {"/reason": "同意"})
    shown = (await node.client.get(f"/v1{address}", headers=node.headers(found["organization_id"]))).json()
    assert (shown["state"], shown["version"], shown["key"], shown["summary"]) == ("published", 1, ["record"], "全市婚姻登记按月汇总")
    assert [item["code"] for item in shown["items"]] == ["record", "day"]
    await step(node, address, "withdrawal", steward, {"/reason": "职能已划转"})
    assert "职能已划转" in await page(node, address, steward)
    said = [type(event).__name__ for event in await node.events()]
    assert said == [
        "OrganizationRegistered", "SystemRegistered", "ResourceSubmitted", "ResourceReturned", "ResourceSubmitted",
        "ResourceApproved", "ResourcePublished", "ResourceWithdrawn",
    ]  # fmt: skip


async def test_a_refusal_stands_at_its_field_and_all_that_was_entered_is_kept(node: Any) -> None:
    organization, system = await node.provider()
    wrong = ENTRY | {
        "/system_id": system["system_id"], "/class_path": "9/30", "/items/1/name": "", "/items/1/length": "很长", "/data_level": "1",
        "/sharing_purposes/-": ["WORK_REFERENCE", "DATA_CHECKING"], "/sharing_scope": "<script>名录</script>",
    }  # fmt: skip
    text = (await send(node, "/resources/new", wrong, node.steward(organization), 422)).text
    assert "should match pattern" in at(text, "/class_path")
    assert at(text, "/items/1/name")
    assert at(text, "/items/1/length")
    assert 'href="#entry/items/1/length"' in text
    for kept in ('value="9/30"', 'value="很长"', "全市婚姻登记汇总", 'value="登记编号"', "&lt;script&gt;名录"):
        assert kept in text
    assert "<script>名录" not in text
    assert text.count('name="/sharing_purposes/-"') == 4
    assert len(re.findall(r'name="/sharing_purposes/-" value="[A-Z_]+" checked', text)) == 2
    steward = node.steward(organization)
    broken = ENTRY | {"/system_id": system["system_id"], "/items/1/sharing_type": "NOT_SHARED"}
    text = (await send(node, "/resources/new", broken, node.steward(organization), 422)).text
    assert "needs the law" in at(text, "/non_sharing_basis")
    text = (await send(node, "/resources/new", ENTRY | {"/system_id": system["system_id"], "/taxonomies/-": "moon"}, steward, 422)).text
    assert "has the code 'moon'" in at(text, "/taxonomies")
    assert (await node.client.get("/v1/resources", headers=node.steward(organization))).json()["items"] == []


@pytest.mark.parametrize(
    ("changes", "pointer", "said", "status"),
    [
        ({"/uscc": "11330600000000001X"}, "/uscc", "GB 32100", 422), ({}, "/uscc", "registered", 409),
        ({"/level": "moon"}, "/level", "nation", 422),
    ],
)  # fmt: skip
async def test_an_organization_that_cannot_be_is_refused_at_its_field(
    node: Any, changes: dict[str, str], pointer: str, said: str, status: int
) -> None:
    known = await node.organization()
    values = {"/name": "另一个局", "/uscc": known["uscc"], "/level": "city", "/division_code": "330600", "/kind": "department"} | changes
    text = (await send(node, "/organizations/new", values, node.authority, status)).text
    assert said in at(text, pointer)
    assert 'value="另一个局"' in text


async def test_a_taken_name_is_refused_at_the_name(node: Any) -> None:
    organization, _ = await node.provider()
    text = (await send(node, "/systems/new", {"/name": "婚姻登记系统"}, node.steward(organization), 409)).text
    assert "has a system called" in at(text, "/name")


async def test_a_stale_form_is_told_so_shows_what_changed_and_overwrites_only_knowingly(node: Any) -> None:
    organization, address = await entered(node)
    steward = node.steward(organization)
    form = await page(node, f"{address}/entry", steward)
    system_id = (await node.client.get(f"/v1{address}", headers=steward)).json()["system_id"]
    mine = ENTRY | {"/system_id": system_id, "revision": hidden(form, "revision"), "read": hidden(form, "read")}
    await send(node, f"{address}/entry", mine | {"/summary": "别人改过的摘要", **NEW_ITEM}, steward)
    stale = (await send(node, f"{address}/entry", mine | {"/summary": "我写的摘要"}, steward, 412)).text
    for shown in ("已被修改", "我写的摘要", "别人改过的摘要", "新项", "新增"):
        assert shown in stale, shown
    assert hidden(stale, "revision") != mine["revision"]
    again = mine | {"/summary": "我写的摘要", "revision": hidden(stale, "revision"), "read": hidden(stale, "read")}
    await send(node, f"{address}/entry", again, steward)
    assert (await node.client.get(f"/v1{address}", headers=steward)).json()["summary"] == "我写的摘要"
    assert "已被修改" in (await send(node, f"{address}/submission", {"revision": "1", "read": mine["read"]}, steward, 412)).text
    nameless = {name: value for name, value in mine.items() if name != "revision"}
    await send(node, f"{address}/entry", nameless, steward, 412)


async def test_a_step_that_is_refused_changes_nothing_and_leads_to_the_field(node: Any) -> None:
    organization, address = await entered(node, **{"/steward": ""})
    text = await step(node, address, "submission", node.steward(organization), {"/reason": "新增职能"}, status=422)
    assert f'href="/dashboard{address}/entry#entry/steward"' in text
    assert "name the post" in text
    assert ">\n新增职能</textarea>" in text
    shown = (await node.client.get(f"/v1{address}", headers=node.steward(organization))).json()
    assert (shown["state"], shown["draft_state"]) == ("draft", "draft")


async def test_what_a_form_does_not_offer_stays_as_it_is(node: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    item = good_item("sex", length=1, enumeration=["1", "2"], dictionary="GB/T 2261.1", update_frequency="YEARLY")
    made = await node.resource(
        organization, system, items=[item, good_item("b")], key=["b", "sex"], census={"total_gb": 1.5}, related_codes=["3/30/1"],
        max_quarantined_ratio=0.25, sharing_type="CONDITIONAL", sharing_condition="依职权", sharing_purposes=["WORK_REFERENCE"],
    )  # fmt: skip
    address, steward = f"/resources/{made['resource_id']}", node.steward(organization)
    text = await page(node, f"{address}/entry", steward)
    sent: dict[str, list[str]] = {}
    shown = text[text.index('<form class="card desk"') : text.index("<template")]
    for name, value in re.findall(r'<input[^>]*? name="([^"]+)"[^>]*? value="([^"]*)"', shown):
        is_box = re.search(rf'name="{re.escape(name)}"[^>]*type="checkbox"|type="checkbox" name="{re.escape(name)}"', shown)
        ticked = re.search(rf'name="{re.escape(name)}"[^>]* value="{re.escape(value)}"[^>]* checked', shown)
        if not is_box or ticked:
            sent.setdefault(unescape(name), []).append(unescape(value))
    for name, inner in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', shown, re.S):
        chosen = re.search(r'value="([^"]*)" selected', inner)
        sent[name] = [chosen[1] if chosen else ""]
    for name, value in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', shown, re.S):
        sent[name] = [unescape(value)]
    assert (sent["/sharing_type"], sent["/data_level"]) == (["CONDITIONAL"], [""]), "a level that follows from the items is left open"
    before = (await node.client.get(f"/v1{address}", headers=steward)).json()
    await send(node, f"{address}/entry", sent, steward)
    after = (await node.client.get(f"/v1{address}", headers=steward)).json()
    assert {name for name in before if before[name] != after[name]} == {"changed_at"}


async def test_rows_are_added_and_taken_away_without_scripts(node: Any) -> None:
    organization, system = await node.provider()
    steward = node.steward(organization)
    values = ENTRY | {"/system_id": system["system_id"]}
    more = (await send(node, "/resources/new", values | {"row": "add"}, steward, 200)).text
    assert 'name="/items/2/code"' in more
    less = (await send(node, "/resources/new", values | {"row": "remove-0"}, steward, 200)).text
    assert 'value="day"' in less
    assert 'name="/items/0/code" ' in less.replace('"/items/0/code"', '"/items/0/code" ', 1)
    assert 'value="record"' not in less
    for odd in ("remove-²", f"remove-{'9' * 5_000}", "remove-99"):  # a row that cannot be takes none away
        same = (await send(node, "/resources/new", values | {"row": odd}, steward, 200)).text
        assert 'value="record"' in same
        assert 'value="day"' in same
    gaps = {name.replace("/items/1/", "/items/7/"): value for name, value in values.items()} | {
        "/items/3/code": "",
        "/items/3/data_type": "C",
    }
    led = await send(node, "/resources/new", gaps, steward)
    made = (await node.client.get(f"/v1{led.headers['location'].removeprefix('/dashboard')}", headers=steward)).json()
    assert [item["code"] for item in made["items"]] == ["record", "day"]


async def test_a_steward_sees_and_acts_on_what_is_theirs(node: Any) -> None:
    organization, address = await entered(node)
    other = await node.organization("示例市气象局")
    foreign = node.steward(other)
    assert "婚姻登记信息" not in await page(node, "/resources", foreign)
    assert "婚姻登记信息" not in await page(node, "", foreign)
    assert "婚姻登记系统" not in await page(node, "/systems", foreign)
    await page(node, address, foreign, 404)
    await page(node, f"{address}/entry", foreign, 404)
    for name in ("submission", "withdrawal", "entry"):
        await send(node, f"{address}/{name}", ENTRY | {"/reason": "x", "revision": "1"}, foreign, 404)
    steward, cdo = node.steward(organization), node.cdo(organization)
    text = await page(node, address, steward)
    assert f'action="/dashboard{address}/submission"' in text
    assert f'action="/dashboard{address}/approval"' not in text
    await step(node, address, "submission", steward)
    text = await page(node, address, steward)
    assert f'action="/dashboard{address}/approval"' not in text
    refused = await send(node, f"{address}/approval", ASSESSED | {"revision": "2"}, steward, 403)
    assert "approved by its provider" in refused.text
    assert f'action="/dashboard{address}/publish"' not in await page(node, address, cdo)
    for not_authority in (cdo, steward):
        await send(node, f"{address}/publish", {"revision": "2"}, not_authority, 403)
    await page(node, "/organizations/new", steward, 403)
    await send(node, "/organizations/new", {"/name": "x"}, steward, 403)
    await page(node, "/systems/new", cdo, 403)
    await page(node, "/resources/new", cdo, 403)
    operator = node.headers(None, "operator")
    assert "What to do" not in await page(node, address, operator)
    await send(node, f"{address}/withdrawal", {"/reason": "x", "revision": "2"}, operator, 404)


async def test_an_approval_needs_its_assessments_at_their_fields(node: Any) -> None:
    organization, address = await entered(node, **{"/items/0/sensitivity": "PERSONAL"})
    await step(node, address, "submission", node.steward(organization))
    empty = await step(node, address, "approval", node.cdo(organization), status=422)
    for part in ("secrecy_risk", "personal_information"):
        assert at(empty, f"/{part}/outcome") == at(empty, f"/{part}/assessed_by") == "必填 Required: fill this in"
    overlooked = await step(node, address, "approval", node.cdo(organization), ASSESSED, status=422)
    assert "hold personal information" in at(overlooked, "/personal_information/outcome")
    assert 'value="保密办"' in overlooked
    await step(node, address, "return", node.cdo(organization), status=422)


async def signed_in(node: Any, organization: dict[str, Any] | None, *roles: str) -> tuple[str, str]:
    """Return the cookie of a browser that signed in, and the credential it used."""
    path = f"/v1/organizations/{organization['organization_id']}/credentials" if organization else "/v1/credentials"
    made = await node.made(path, {"name": "desk", "roles": list(roles)}, node.authority)
    credential = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    answer = await send(node, "/desk/sign-in", credential | {"next": "/dashboard/resources"}, {})
    assert answer.headers["location"] == "/dashboard/resources"
    cookie = answer.headers["set-cookie"]
    for said in ("HttpOnly", "SameSite=strict", "Path=/dashboard"):
        assert said in cookie
    node.client.cookies.clear()
    return cookie.split(";")[0], urlencode(credential)


async def test_a_form_of_another_site_is_refused_and_so_is_one_without_the_pages_own_token(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    cookie, _ = await signed_in(node, organization, "steward")
    browser = {"Cookie": cookie}
    form = await page(node, "/systems/new", browser)
    token = hidden(form, "form_token")
    content = urlencode({"/name": "新系统", "form_token": token})
    for headers in (
        {"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Origin": "http://service.test:8080"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    ):  # fmt: skip
        for path in ("/systems/new", "/desk/sign-in", "/desk/sign-out"):
            answer = await node.client.post(f"/dashboard{path}", content=content, headers=browser | FORM | headers)
            is_problem(answer, 403, "foreign-form")
    for wrong in ({}, {"form_token": "0" * 64}, {"form_token": "错"}):
        text = (await send(node, "/systems/new", {"/name": "新系统"} | wrong, browser, 403)).text
        assert 'name="/name" value="新系统"' in text, "what was entered is kept"
    listed = (await node.client.get("/v1/systems", headers=node.authority)).json()["items"]
    assert [one["name"] for one in listed] == [system["name"]]
    await send(node, "/systems/new", {"/name": "新系统", "form_token": token}, browser)
    by_proxy = {"Origin": "http://catalog.test"}  # the public address
    answer = await node.client.post("/dashboard/desk/sign-out", headers=browser | FORM | by_proxy)
    assert answer.status_code == 303


async def test_a_form_sent_too_late_is_kept_while_its_sender_signs_in(node: Any) -> None:
    organization, _ = await node.provider()
    _, credential = await signed_in(node, organization, "steward")
    text = (await send(node, "/systems/new", {"/name": "新系统<b>"}, {"Cookie": "dxmesh_dashboard=expired"}, 403)).text
    assert 'name="/name" value="新系统&lt;b&gt;"' in text
    going_on = {"/name": "新系统<b>", "goes_on": "yes", "next": hidden(text, "next")}
    answer = await node.client.post("/dashboard/desk/sign-in", content=f"{credential}&{urlencode(going_on)}", headers=OWN | FORM)
    assert answer.status_code == 200
    assert 'action="/dashboard/systems/new"' in answer.text
    assert "client_secret" not in answer.text
    cookie = answer.headers["set-cookie"].split(";")[0]
    node.client.cookies.clear()
    again = {"/name": hidden(answer.text, "/name"), "form_token": hidden(answer.text, "form_token")}
    await send(node, "/systems/new", again, {"Cookie": cookie})


async def test_signing_in_is_for_those_who_have_something_to_do_here(node: Any) -> None:
    organization, _ = await node.provider()
    made = await node.made(
        f"/v1/organizations/{organization['organization_id']}/credentials", {"name": "x", "roles": ["auditor"]}, node.authority
    )
    for client_id, secret, said in (
        (made["client_id"], made["client_secret"], "none of the roles"),
        (made["client_id"], "wrong", "not right"),
        ("nobody", "x", "not right"),
    ):
        text = (await send(node, "/desk/sign-in", {"client_id": client_id, "client_secret": secret}, {}, 403)).text
        assert said in text
    led = (await send(node, "/desk/sign-in", {"client_id": made["client_id"], "client_secret": "x", "next": "//elsewhere"}, {}, 403)).text
    assert hidden(led, "next") == "/dashboard"


async def test_this_machine_looks_but_acts_only_where_the_settings_say_so(node: Any, make_code: Any) -> None:
    local = {"Host": "127.0.0.1", "Origin": "http://127.0.0.1"}
    for desk, status in ((DeskSettings(), 403), (DeskSettings(loopback_acts=True), 303)):
        settings = node.settings.model_copy(update={"dashboard": DashboardSettings(loopback_open=True), "desk": desk})
        async with serving(create_app(settings)) as client:
            values = {"/name": "示例局", "/uscc": make_code(5), "/level": "city", "/division_code": "330600", "/kind": "department"}
            assert (await client.get("/dashboard", headers=local)).status_code == 200
            answer = await client.post("/dashboard/organizations/new", content=urlencode(values), headers=local | FORM)
            assert answer.status_code == status, answer.text
            if status == 403:
                assert 'name="client_secret"' in answer.text
                assert 'name="/name" value="示例局"' in answer.text


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"/a=1&/a/b=2&/name=x", b"/items/0=x&/items/0/code=y", b"&".join(b"/items/%d/code=x" % n for n in range(1_200))]
)
async def test_a_form_that_cannot_be_is_refused_without_harm(strict_node: Any, body: bytes) -> None:
    headers = strict_node.steward(strict_node.organization_made) | OWN | FORM
    answer = await strict_node.client.post("/dashboard/resources/new", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
