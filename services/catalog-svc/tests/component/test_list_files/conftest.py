"""Files of lists as departments make, send and get them."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
import xlsxwriter

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OWNER, NAME, DUE = "责任部门统一社会信用代码", "名称", "完成期限"


class Files:
    """Makes files of lists, sends them, and reads them back."""

    @staticmethod
    def as_csv(rows: list[dict[str, Any]]) -> bytes:
        titles = list(dict.fromkeys(title for row in rows for title in row))
        out = io.StringIO()
        writer = csv.DictWriter(out, titles, restval="")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode()

    @staticmethod
    def as_xlsx(fill: Callable[[Any, Any], None], sheet: str = "清单") -> bytes:
        out = io.BytesIO()
        with xlsxwriter.Workbook(out) as book:
            fill(book, book.add_worksheet(sheet))
        return out.getvalue()

    @staticmethod
    def table(titles: list[str], rows: list[list[Any]]) -> Callable[[Any, Any], None]:
        def fill(_: Any, sheet: Any) -> None:
            for number, row in enumerate([titles, *rows]):
                sheet.write_row(number, 0, row)

        return fill

    @staticmethod
    async def sent(node: Any, kind: str, content: bytes, headers: dict[str, str], media: str = CSV, **query: str) -> Any:
        return await node.client.post(f"/v1/lists/{kind}/import", params=query, content=content, headers=headers | {"Content-Type": media})

    @staticmethod
    async def taken(node: Any, kind: str, content: bytes, headers: dict[str, str], media: str = CSV, **query: str) -> dict[str, int]:
        answer = await Files.sent(node, kind, content, headers, media, **query)
        assert answer.status_code == 200, answer.text
        return {name: value for name, value in answer.json().items() if name != "faults"}

    @staticmethod
    async def exported(node: Any, kind: str, form: str, headers: dict[str, str], **query: str) -> bytes:
        answer = await node.client.get(f"/v1/lists/{kind}/file", params={"format": form, **query}, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(CSV if form == "csv" else XLSX)
        assert answer.headers["content-disposition"].endswith(f".{form}")
        content: bytes = answer.content
        assert int(answer.headers["content-length"]) == len(content)
        return content

    @staticmethod
    def from_csv(content: bytes) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))

    @staticmethod
    def counts(received: int, created: int = 0, changed: int = 0, unchanged: int = 0, refused: int = 0) -> dict[str, int]:
        numbers = {"received": received, "created": created, "changed": changed, "unchanged": unchanged, "refused": refused}
        return {f"{name}_count": number for name, number in numbers.items()}

    @staticmethod
    async def listed(node: Any, kind: str) -> list[dict[str, Any]]:
        page = (await node.client.get(f"/v1/lists/{kind}", params={"limit": 1000}, headers=node.authority)).json()
        items: list[dict[str, Any]] = page["items"]
        return items

    @staticmethod
    def duty(organization: dict[str, Any], name: str = "低保对象", **cells: Any) -> dict[str, Any]:
        return {OWNER: organization["uscc"], NAME: name, DUE: "2026-12-31"} | cells

    @staticmethod
    def guide_row(organization: dict[str, Any], item: str, **cells: Any) -> dict[str, Any]:
        first = {
            "信息资源分类": "3/30/102/01",
            "信息资源名称": "街道办事处名录",
            "信息资源提供方代码": organization["uscc"],
            "信息资源摘要": "全市街道的代码和名称",
            "信息项名称": item,
            "数据类型": "字符型C",
            "数据长度": "60",
            "涉密属性": "非涉密",
            "共享类型": "无条件共享",
            "是否向社会开放": "是",
            "更新周期": "每月",
            "所属信息系统": "婚姻登记系统",
            "信息项代码": "",
            "是否主键": "",
        }
        return first | cells


@pytest.fixture
def files() -> type[Files]:
    """Return what makes files of lists."""
    return Files
