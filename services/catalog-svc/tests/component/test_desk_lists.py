"""Lists at the desk: entries entered, changed on what was read and finished, files taken in with every refused row named."""

import csv
import io
from typing import Any

import pytest

DUTY = {"/name": "低保对象信息", "/content": "每月归集", "/status": "pending", "/due_on": "2030-12-31"}
BASIS = {"/basis/kind": "law", "/basis/title": "中华人民共和国数据安全法", "/basis/article": "第三十八条"}
OWN = {"Origin": "http://service.test"}


async def entered(node: Any, desk: Any, **changes: str) -> tuple[Any, str]:
    """Enter a duty of a department; return the department and the entry's address."""
    organization = await node.organization()
    led = await desk.send("/lists/duty/new", DUTY | changes, node.steward(organization))
    return organization, led.headers["location"].removeprefix("/dashboard")


async def read(node: Any, address: str) -> dict[str, Any]:
    found: dict[str, Any] = (await node.client.get(f"/v1{address}", headers=node.authority)).json()
    return found


async def send_file(node: Any, kind: str, name: str, content: bytes, headers: dict[str, str], **values: str) -> Any:
    files = {"/file": (name, content)}
    return await node.client.post(f"/dashboard/lists/{kind}/import", files=files, data=values, headers=headers | OWN)


async def test_an_entry_is_entered_changed_and_finished_with_the_resource_that_meets_it(node: Any, desk: Any) -> None:
    organization, address = await entered(node, desk)
    steward, made = node.steward(organization), await node.published(organization, await node.system(organization))
    assert address in await desk.page("/lists/duty", steward)
    form = await desk.page(f"{address}/entry", steward)
    for shown in ('value="低保对象信息"', 'value="2030-12-31"', ">\n每月归集</textarea>", 'value="pending" selected'):
        assert shown in form, shown
    changes = DUTY | {
        "/status": "in_progress",
        "/content": "每周归集",
        "/resource_id": made["resource_code"],
        "/system_id": made["system_id"],
    }
    await desk.send(f"{address}/entry", desk.unseen(form) | changes, steward)
    now = await read(node, address)
    assert (now["status"], now["content"], now["resource_id"]) == ("in_progress", "每周归集", made["resource_id"])
    form = await desk.page(f"{address}/entry", steward)
    assert f'value="{made["resource_code"]}"' in form
    await desk.send(f"{address}/entry", desk.unseen(form) | DUTY, steward)
    assert (await read(node, address))["resource_id"] is None, "what is left blank is none"
    unseen = desk.unseen(await desk.page(address, steward))
    text = await desk.refused(f"{address}/finish", unseen | {"/status": "done"}, steward, 422)
    assert "name that resource" in desk.at(text, "/resource_id")
    assert "Required" in desk.at(await desk.refused(f"{address}/finish", unseen, steward, 422), "/status")
    text = await desk.refused(f"{address}/finish", {"revision": "1", "/status": "cancelled"}, steward, 412)
    assert "已被修改" in text
    await desk.send(f"{address}/finish", unseen | {"/status": "done", "/resource_id": made["resource_code"]}, steward)
    now = await read(node, address)
    assert (now["status"], now["resource_id"], now["content"]) == ("done", made["resource_id"], "每月归集")
    assert f"{address}/finish" not in await desk.page(address, steward)


@pytest.mark.parametrize(
    ("kind", "changes", "pointer", "said", "status"),
    [
        ("duty", {"/name": ""}, "/name", "Required", 422), ("duty", {"/due_on": ""}, "/due_on", "is missing", 422),
        ("duty", {"/due_on": "1999-01-01"}, "/due_on", "from 2000", 422),
        ("duty", {"/status": "in_force"}, "/status", "does not know", 422),
        ("duty", {"/status": "moon"}, "/status", "pending", 422), ("duty", {"/status": "done"}, "/resource_id", "name that resource", 422),
        ("duty", {"/resource_id": "9/9"}, "/resource_id", "is no data resource", 422),
        ("duty", {"/system_id": "00000000-0000-0000-0000-000000000000"}, "/system_id", "no system of the owner", 422),
        ("negative", {"/status": ""}, "/basis", "is missing", 422),
        ("negative", {"/status": "", **BASIS, "/basis/kind": "local"}, "/basis/kind", "law", 422),
        ("demand", {"/counterpart_id": "00000000-0000-0000-0000-000000000000"}, "/counterpart_id", "no registered", 422),
    ],
)  # fmt: skip
async def test_an_entry_that_cannot_be_is_refused_at_its_field(
    node: Any, desk: Any, kind: str, changes: dict[str, str], pointer: str, said: str, status: int
) -> None:
    organization = await node.organization()
    text = await desk.refused(f"/lists/{kind}/new", DUTY | changes, node.steward(organization), status)
    assert said in desk.at(text, pointer)
    assert ">\n每月归集</textarea>" in text
    assert (await read(node, f"/lists/{kind}"))["items"] == []


async def test_the_authority_names_the_owner_and_a_name_is_taken_once(node: Any, desk: Any) -> None:
    organization, _ = await entered(node, desk)
    text = await desk.refused("/lists/duty/new", DUTY, node.authority, 422)
    assert "name the organization" in desk.at(text, "/organization_id")
    text = await desk.refused("/lists/duty/new", DUTY | {"/organization_id": organization["organization_id"]}, node.authority, 409)
    assert "has an entry called" in desk.at(text, "/name")
    entry = DUTY | BASIS | {"/status": "in_force", "/forbids": "opening", "/organization_id": organization["organization_id"]}
    led = await desk.send("/lists/negative/new", entry, node.authority)
    address = led.headers["location"].removeprefix("/dashboard")
    unseen = desk.unseen(await desk.page(address, node.authority))
    await desk.send(f"{address}/finish", unseen | {"/status": "lifted"}, node.authority)
    now = await read(node, address)
    assert (now["status"], now["forbids"], now["basis"]["article"]) == ("lifted", "opening", "第三十八条")


async def test_a_stale_entry_is_told_what_changed_and_a_stranger_changes_nothing(node: Any, desk: Any) -> None:
    organization, address = await entered(node, desk)
    steward, path = node.steward(organization), f"{address}/entry"
    unseen = desk.unseen(await desk.page(path, steward))
    await desk.send(path, unseen | DUTY | {"/content": "别人写的"}, steward)
    stale = await desk.refused(path, unseen | DUTY | {"/content": "我写的"}, steward, 412)
    for shown in ("已被修改", ">\n我写的</textarea>", "每月归集", "别人写的"):
        assert shown in stale, shown
    await desk.refused(path, DUTY, steward, 412)
    await desk.send(path, desk.unseen(stale) | DUTY | {"/content": "我写的"}, steward)
    other = await node.organization("示例市气象局")
    for stranger in (node.steward(other), node.cdo(organization), node.headers(None, "operator")):
        await desk.page(path, stranger, 403)
        await desk.refused(path, desk.unseen(stale) | DUTY, stranger, 403)
        await desk.refused(f"{address}/finish", {"revision": "3", "/status": "cancelled"}, stranger, 403)
        assert f"{address}/finish" not in await desk.page(address, stranger)
    for reader in (node.cdo(organization), node.headers(None, "operator")):
        await desk.page("/lists/duty/new", reader, 403)
        await desk.page("/lists/duty/import", reader, 403)
        await desk.refused("/lists/duty/new", DUTY, reader, 403)
    await desk.page("/lists/duty/00000000-0000-0000-0000-000000000000/entry", steward, 404)
    assert (await read(node, address))["version"] == 3


async def rows(node: Any, headers: dict[str, str], **changes: dict[str, str]) -> bytes:
    """Return a file of the duty list: for each name a new entry like the one the list has, changed as said."""
    file = await node.client.get("/dashboard/lists/duty/file", params={"format": "csv"}, headers=headers)
    [first] = csv.DictReader(io.StringIO(file.content.decode("utf-8-sig")))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(first))
    writer.writeheader()
    for name, change in changes.items():
        writer.writerow(first | {"编号": "", "名称": name} | change)
    return text.getvalue().encode()


async def test_a_file_is_taken_in_with_its_refused_rows_named(node: Any, desk: Any) -> None:
    organization, _ = await entered(node, desk)
    steward = node.steward(organization)
    due = next(column for column in csv.DictReader(io.StringIO((await rows(node, steward)).decode())).fieldnames or () if "限" in column)
    content = await rows(node, steward, 残疾人补贴={}, 高龄津贴={due: "明天"})
    refused = await send_file(node, "duty", "清单.csv", content, steward)
    assert refused.status_code == 422, refused.text
    for shown in ("文件未导入", due, "1 / 2 行有误", '<td class="num">2</td>'):
        assert shown in refused.text, shown
    assert len((await read(node, "/lists/duty"))["items"]) == 1
    taken = await send_file(node, "duty", "清单.CSV", content, steward, **{"/mode": "good"})
    assert taken.status_code == 200, taken.text
    for shown in ("已导入", due, '<td class="num">2</td>'):
        assert shown in taken.text, shown
    assert [one["name"] for one in (await read(node, "/lists/duty"))["items"]] == ["低保对象信息", "残疾人补贴"]
    sheet = (await node.client.get("/dashboard/lists/duty/file", headers=steward)).content
    again = await send_file(node, "duty", "清单.xlsx", sheet, steward)
    assert again.status_code == 200, again.text
    template = await node.client.get("/dashboard/lists/system/template", headers=steward)
    assert template.content[:2] == b"PK"


async def test_a_file_that_cannot_be_is_refused_at_its_field(node: Any, desk: Any, is_problem: Any) -> None:
    organization, _ = await entered(node, desk)
    steward = node.steward(organization)
    for name, content, status, said in (
        ("清单.pdf", b"%PDF", 415, "ends in .csv or .xlsx"), ("清单.xlsx", b"not a workbook", 400, ""), ("", b"", 422, "Required"),
    ):  # fmt: skip
        answer = await send_file(node, "duty", name, content, steward)
        assert answer.status_code == status, answer.text
        assert said in desk.at(answer.text, "/file")
        assert desk.at(answer.text, "/file")
    assert (await send_file(node, "duty", "清单.csv", b"a,b\n1,2\n", steward)).status_code == 422
    assert (await send_file(node, "duty", "清单.csv", b"a\n", node.cdo(organization))).status_code == 403
    assert (await send_file(node, "moon", "清单.csv", b"a\n", steward)).status_code == 422
    foreign = await node.client.post(
        "/dashboard/lists/duty/import", files={"/file": ("清单.csv", b"a\n")}, headers=steward | {"Origin": "https://elsewhere.example"}
    )
    is_problem(foreign, 403, "foreign-form")
    broken = await node.client.post(
        "/dashboard/lists/duty/import", content=b"--x", headers=steward | OWN | {"Content-Type": "multipart/form-data; boundary=y"}
    )
    assert broken.status_code in (400, 422), broken.text
    long = await node.client.post("/dashboard/lists/duty/import", headers=steward | OWN | {"Content-Length": str(1 << 30)})
    is_problem(long, 413)
