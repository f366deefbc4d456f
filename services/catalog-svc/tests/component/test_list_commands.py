"""The command line of lists, editions and reports, against a catalogue that listens."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from catalog_svc.report.domain import ReportName
from dxmesh_client.cli.lists import Report
from dxmesh_client.errors import ClientError, NotVerified
from dxmesh_runtime import signing


def this_year() -> str:
    return str(datetime.now(ZoneInfo("Asia/Shanghai")).year)


async def test_a_list_goes_out_and_in_from_the_command_line(node: Any, cli: Any, tmp_path: Path) -> None:
    organization = await node.organization()
    await node.made("/v1/lists/duty", {"name": "低保对象", "due_on": "2026-12-31"}, node.steward(organization))
    for name in ("duty.csv", "duty.xlsx"):
        assert (await cli("list", "export", "duty", str(tmp_path / name)))["byte_count"] == (tmp_path / name).stat().st_size
        assert (await cli("list", "import", "duty", str(tmp_path / name)))["unchanged_count"] == 1
    assert [one["name"] for one in await cli("list", "show", "duty")] == ["低保对象"]
    assert (await cli("list", "template", "demand", str(tmp_path / "demand.csv")))["byte_count"] > 0
    header = "责任部门统一社会信用代码,名称,完成期限"
    (tmp_path / "wrong.csv").write_text(
        f"{header}\n{organization['uscc']},甲,2026-12-31\n{organization['uscc']},乙,昨天\n", encoding="utf-8"
    )
    with pytest.raises(ClientError, match="row 2, column 完成期限"):
        await cli("list", "import", "duty", str(tmp_path / "wrong.csv"))
    some = await cli("list", "import", "duty", str(tmp_path / "wrong.csv"), "--good")
    assert (some["created_count"], [fault["row"] for fault in some["faults"]]) == (1, [2])
    with pytest.raises(ClientError, match="told by the ending"):
        await cli("list", "export", "duty", str(tmp_path / "duty.pdf"))


async def test_an_edition_is_published_and_kept_from_the_command_line(node: Any, cli: Any, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="publish resources first"):
        await cli("edition", "publish", this_year(), "--title", "目录")
    await node.published(*await node.provider())
    made = await cli("edition", "publish", this_year(), "--title", "目录")
    await cli("edition", "save", this_year(), str(tmp_path / "kept"))
    assert hashlib.sha256((tmp_path / "kept" / "content.ndjson").read_bytes()).hexdigest() == made["content_sha256"]
    assert json.loads((tmp_path / "kept" / "edition.json").read_bytes()) == made
    assert json.loads((tmp_path / "kept" / "jwks.json").read_bytes())["keys"]
    assert (await cli("edition", "table", this_year(), str(tmp_path / "edition.xlsx")))["byte_count"] > 0


async def test_a_kept_edition_is_verified_offline_and_a_touched_one_is_not(node: Any, cli: Any, tmp_path: Path) -> None:
    await node.published(*await node.provider())
    made = await cli("edition", "publish", this_year(), "--title", "目录")
    await cli("edition", "publish", str(int(this_year()) - 1), "--title", "去年的目录")
    kept = tmp_path / "kept"
    await cli("edition", "save", this_year(), str(kept))
    assert (await cli("edition", "compare", str(int(this_year()) - 1), this_year()))["rows"] == []
    assert (await cli("edition", "compare", str(int(this_year()) - 1), this_year(), str(tmp_path / "changes.csv")))["byte_count"] > 0
    profile = tmp_path / "profile.json"
    profile.unlink()  # from here on no node is known

    found = await cli("edition", "verify", str(kept))
    assert found["verified"] is True
    assert (found["year"], found["content_sha256"], found["resource_count"]) == (int(this_year()), made["content_sha256"], 1)
    edition, content, keys = ((kept / name).read_bytes() for name in ("edition.json", "content.ndjson", "jwks.json"))
    other = tmp_path / "other.json"
    signing.create_key(tmp_path / "other.pem")
    other.write_text(json.dumps(signing.jwks(signing.load_key(tmp_path / "other.pem").public_key())), encoding="utf-8")
    _, payload, tail = made["signature"].split(".")
    for name, touched, step in (
        ("content.ndjson", content.replace("街道".encode(), "村庄".encode()), "content"),
        ("content.ndjson", content + content, "content"),
        ("content.ndjson", content[:-1], "content"),
        ("content.ndjson", b"no json\n", "content"),
        ("edition.json", edition.replace(f'"year":{this_year()}'.encode(), b'"year":2019'), "statement"),
        ("edition.json", edition.replace(b'"resource_count":1', b'"resource_count":9'), "statement"),
        ("edition.json", edition.replace(payload.encode(), payload[:20].encode() + b"AAAA" + payload[24:].encode()), "signature"),
        ("edition.json", edition.replace(tail.encode(), tail[::-1].encode()), "signature"),
        ("edition.json", b"{}", "form"),
        ("jwks.json", b'{"keys": []}', "form"),
        ("jwks.json", b"[]", "form"),
        ("jwks.json", other.read_bytes(), "signature"),
    ):
        assert touched != (kept / name).read_bytes()
        (kept / name).write_bytes(touched)
        with pytest.raises(NotVerified, match=f"does not verify: {step}"):
            await cli("edition", "verify", str(kept))
        for restored, file in (("edition.json", edition), ("content.ndjson", content), ("jwks.json", keys)):
            (kept / restored).write_bytes(file)
    with pytest.raises(NotVerified, match="signature"):
        await cli("edition", "verify", str(kept), "--keys", str(other))


async def test_the_ledger_and_the_reports_are_read_from_the_command_line(node: Any, cli: Any, tmp_path: Path) -> None:
    await node.published(*await node.provider())
    assert (await cli("ledger"))["total"]["resource_count"] == 1
    assert (await cli("report", "coverage"))["summary"]["covered_ratio"] == 1
    for name in ("totals.csv", "totals.xlsx", "totals.json"):
        assert (await cli("report", "totals", str(tmp_path / name)))["byte_count"] > 0
    assert json.loads((tmp_path / "totals.json").read_bytes())["summary"]["resource_count"] == 1


async def test_every_report_there_is_can_be_asked_for_from_the_command_line(node: Any, cli: Any, tmp_path: Path) -> None:
    await node.published(*await node.provider())
    assert {report.value for report in Report} == {*ReportName, "stale"}
    for report in Report:
        found = await cli("report", report.value)
        assert isinstance(found, list) if report is Report.STALE else found["report"] == report.value
    assert (await cli("report", "idle-systems", "--days", "7"))["summary"]["days"] == 7
    assert (await cli("report", "stale", str(tmp_path / "stale.xlsx")))["byte_count"] > 0
    with pytest.raises(ClientError, match="the form is told by the ending"):
        await cli("report", "stale", str(tmp_path / "stale.json"))
    with pytest.raises(ClientError, match="leave it out of totals"):
        await cli("report", "totals", "--days", "7")
