"""The command line of lists, editions and reports, against a catalogue that listens."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dxmesh_client.errors import ClientError

YEAR = str(datetime.now(ZoneInfo("Asia/Shanghai")).year)


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
        await cli("edition", "publish", YEAR, "--title", "目录")
    await node.published(*await node.provider())
    made = await cli("edition", "publish", YEAR, "--title", "目录")
    await cli("edition", "save", YEAR, str(tmp_path / "kept"))
    assert hashlib.sha256((tmp_path / "kept" / "content.ndjson").read_bytes()).hexdigest() == made["content_sha256"]
    assert json.loads((tmp_path / "kept" / "edition.json").read_bytes()) == made
    assert json.loads((tmp_path / "kept" / "jwks.json").read_bytes())["keys"]
    assert (await cli("edition", "table", YEAR, str(tmp_path / "edition.xlsx")))["byte_count"] > 0


async def test_the_ledger_and_the_reports_are_read_from_the_command_line(node: Any, cli: Any, tmp_path: Path) -> None:
    await node.published(*await node.provider())
    assert (await cli("ledger"))["total"]["resource_count"] == 1
    assert (await cli("report", "coverage"))["summary"]["covered_ratio"] == 1
    for name in ("totals.csv", "totals.xlsx", "totals.json"):
        assert (await cli("report", "totals", str(tmp_path / name)))["byte_count"] > 0
    assert json.loads((tmp_path / "totals.json").read_bytes())["summary"]["resource_count"] == 1
