"""The catalogue guide's table: a row an information item, the resource's own columns on its first (编制指南 发改高技〔2017〕1272号)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_RESOURCE = {
    "信息资源分类": "class_path",
    "信息资源名称": "name",
    "信息资源提供方代码": "provider",
    "提供方内部部门": "provider_unit",
    "信息资源摘要": "summary",
    "信息资源格式分类": "format_class",
    "信息资源格式类型": "format_type",
    "其他类型资源格式描述": "format_note",
    "共享类型": "sharing_type",
    "共享条件": "sharing_condition",
    "共享方式分类": "sharing_channel",
    "共享方式类型": "sharing_mode",
    "是否向社会开放": "open_type",
    "开放条件": "open_condition",
    "开放主题": "open_theme",
    "更新周期": "update_cycle",
    "关联资源代码": "related_codes",
    "所属信息系统": "system",
    "共享范围": "sharing_scope",
    "使用用途": "sharing_purposes",
    "不予共享或有条件共享理由": "sharing_reason",
    "数据管理员": "steward",
    "涉密属性": "is_classified",
    "不予共享依据类型": "basis_kind",
    "不予共享依据名称": "basis_title",
    "不予共享依据条款": "basis_article",
}
_CENSUS = {
    "数据存储总量(G)": "total_gb",
    "结构化信息总记录数(万)": "total_rows_10k",
    "已共享的数据存储量(G)": "shared_gb",
    "已共享的结构化记录数(万)": "shared_rows_10k",
    "已开放的数据存储量(G)": "open_gb",
    "已开放的结构化记录数(万)": "open_rows_10k",
}
_ITEM = {
    "信息项名称": "name",
    "信息项代码": "code",
    "数据类型": "data_type",
    "数据长度": "length",
    "信息项共享类型": "sharing_type",
    "信息项开放类型": "open_type",
    "是否主键": "is_key",
}
_PASSED_OVER = {"信息资源代码", "信息资源提供方", "发布日期", "序号"}
_PURPOSES = {"行政依据": "ADMINISTRATIVE_BASIS", "工作参考": "WORK_REFERENCE", "数据校核": "DATA_CHECKING", "业务协同": "COLLABORATION"}
_WORDS: dict[str, dict[str, Any]] = {
    "sharing_type": {"无条件共享": "UNCONDITIONAL", "有条件共享": "CONDITIONAL", "不予共享": "NOT_SHARED"},
    "open_type": {"无条件开放": "UNCONDITIONAL", "有条件开放": "CONDITIONAL", "不予开放": "CLOSED", "是": "UNCONDITIONAL", "否": "CLOSED"},
    "update_cycle": {
        "实时": "REALTIME", "每日": "DAILY", "每周": "WEEKLY", "每月": "MONTHLY", "每季度": "QUARTERLY", "每半年": "HALF_YEARLY",
        "每年": "YEARLY", "不定期": "IRREGULAR", "静态": "STATIC",
    },
    "format_class": {
        "电子文件": "ELECTRONIC_FILE", "电子表格": "SPREADSHEET", "数据库": "DATABASE", "图形图像": "GRAPHIC", "流媒体": "STREAM",
        "自描述格式": "SELF_DESCRIBING", "服务接口": "SERVICE",
    },
    "sharing_channel": {"共享平台": "PLATFORM", "邮件": "MAIL", "拷盘": "DISK", "介质交换": "MEDIA"},
    "sharing_mode": {"数据库": "DATABASE", "文件": "FILE", "接口": "API"},
    "basis_kind": {"法律": "law", "行政法规": "administrative_regulation", "国务院决定": "state_council_decision"},
    "is_key": {"是": True, "否": False},
    "is_classified": {"非涉密": False, "涉密": True, "否": False, "是": True},
}  # fmt: skip
_TYPES = {
    "字符型": "C", "数值型": "N", "货币型": "Y", "日期型": "D", "日期时间型": "T", "逻辑型": "L", "备注型": "M", "通用型": "G",
    "双精度型": "B", "整型": "I", "浮点型": "F",
}  # fmt: skip
_TYPE = re.compile(r"(\D+?型)?\s*([CNYDTLMGBIF])?")
_WHOLE = re.compile(r"([0-9]+)(?:\.0*)?")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a cell; `column` is empty for a row as a whole."""

    row: int
    column: str
    detail: str


@dataclass(slots=True)
class Entry:
    """A resource read from a table: its document, the row it begins at, and the row of each of its items."""

    row: int
    document: dict[str, Any]
    item_rows: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def place(self, pointer: str) -> tuple[int, str]:
        """Return (row, column) of what a JSON pointer names; the column is empty where no single one does."""
        parts = pointer.strip("/").split("/")
        if parts[0] == "items" and len(parts) > 1 and parts[1].isdigit() and int(parts[1]) < len(self.item_rows):
            titles = {name: title for title, name in _ITEM.items()}
            return self.item_rows[int(parts[1])], titles.get(parts[2], "") if len(parts) > 2 else ""
        titles = {name: title for title, name in _RESOURCE.items()}
        if parts[0] == "non_sharing_basis":
            return self.row, titles.get(f"basis_{parts[1]}", "") if len(parts) > 1 else titles["basis_title"]
        return self.row, titles.get(parts[0], "")


class NoGuideTable(ValueError):
    """The header is not that of the guide's table."""


def read(rows: Sequence[Sequence[str | None]], defaults: Mapping[str, Any]) -> Iterator[Entry]:
    """Yield the resources of a table, its header among the first ten rows; merged cells hold their text in the first one alone.

    `defaults` are fields that resources without them take. Raises: NoGuideTable.
    """
    begin, columns = _header(rows)
    entry: Entry | None = None
    for number, cells in enumerate(rows[begin + 1 :], begin + 2):
        given = {column: text for at, column in columns.items() if at < len(cells) and (text := (cells[at] or "").strip())}
        if not given:
            continue
        name = given.get("信息资源名称")
        if entry is None or (name is not None and name != entry.document.get("name")):
            if entry is not None:
                yield entry
            entry = Entry(number, dict(defaults))
            _resource(entry, given)
        _item(entry, number, given)
    if entry is not None:
        yield entry


def _header(rows: Sequence[Sequence[str | None]]) -> tuple[int, dict[int, str]]:
    for number, cells in enumerate(rows[:10]):
        titles = [re.sub(r"[\s*]", "", cell or "").translate(str.maketrans("（）", "()")) for cell in cells]
        if "信息资源名称" in titles and "信息项名称" in titles:
            known = {**_RESOURCE, **_CENSUS, **_ITEM}
            unknown = [title for title in titles if title and title not in known and title not in _PASSED_OVER]
            doubled = sorted({title for title in titles if title in known and titles.count(title) > 1})
            if unknown or doubled:
                what = f"has columns the guide does not know: {', '.join(unknown)}" if unknown else f"has {', '.join(doubled)} twice"
                raise NoGuideTable(f"row {number + 1} {what}; it may have {', '.join(known)}")
            return number, {at: title for at, title in enumerate(titles) if title in known}
    raise NoGuideTable("none of the first ten rows has the columns 信息资源名称 and 信息项名称; take the header of the catalogue guide")


def _resource(entry: Entry, given: Mapping[str, str]) -> None:
    document = entry.document
    basis: dict[str, Any] = {}
    for title, name in _RESOURCE.items():
        if (text := given.get(title)) is None:
            continue
        value: Any = _word(entry, entry.row, title, name, text)
        if name == "class_path":
            value = re.sub(r"\s*[//]\s*", "/", text)
        elif name == "related_codes":
            value = _parts(text)
        elif name == "sharing_purposes":
            value = [_PURPOSES.get(part, part) for part in _parts(text)]
        if name.startswith("basis_"):
            basis[name.removeprefix("basis_")] = value
        else:
            document[name] = value
    if basis:
        document["non_sharing_basis"] = basis
    census = {name: _number(entry, title, given[title]) for title, name in _CENSUS.items() if title in given}
    if census:
        document["census"] = census
    document["items"] = []


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"[\s,，;；、]+", text) if part]


def _number(entry: Entry, title: str, text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        entry.faults.append(Fault(entry.row, title, f"{text[:60]!r} is no number; write one, or leave it empty"))
        return text


def _item(entry: Entry, row: int, given: Mapping[str, str]) -> None:
    item: dict[str, Any] = {}
    for title, name in _ITEM.items():
        if (text := given.get(title)) is not None:
            item[name] = _word(entry, row, title, name, text)
    if not item:
        return
    if "name" not in item:
        entry.faults.append(Fault(row, "信息项名称", "is empty while the row says something of an item; write the item's name"))
        return
    if "data_type" in item:
        item["data_type"] = _type(entry, row, str(item["data_type"]))
    if "length" in item:
        whole = _WHOLE.fullmatch(str(item["length"]))
        if whole is None or not 0 < len(whole[1]) < 10:
            entry.faults.append(
                Fault(row, "数据长度", f"{item['length']!r} is no whole number of characters; write one, or leave it empty")
            )
            del item["length"]
        elif item.get("data_type", "C") in ("C", "M", "G"):
            item["length"] = int(whole[1])
        else:
            del item["length"]  # the guide's table gives numbers and dates a length too, which says nothing of their values
    item.setdefault("code", f"item_{len(entry.item_rows) + 1:02d}")
    if item.pop("is_key", False):
        entry.document.setdefault("key", []).append(item["code"])
    entry.document["items"].append(item)
    entry.item_rows.append(row)


def _word(entry: Entry, row: int, title: str, name: str, text: str) -> Any:
    words = _WORDS.get(name)
    if words is None or text in words.values():
        return text
    bare = re.sub(r"^[0-9]+[.、\s]*", "", text)
    if bare in words:
        return words[bare]
    entry.faults.append(Fault(row, title, f"{text[:60]!r} is not known; write one of {', '.join(words)}"))
    return text


def _type(entry: Entry, row: int, text: str) -> str:
    found = _TYPE.fullmatch(text)
    if found is not None and (found[1] in _TYPES or (found[1] is None and found[2])):
        letter = _TYPES[found[1]] if found[1] else found[2]
        if found[2] in (None, letter):
            return str(letter)
    entry.faults.append(
        Fault(row, "数据类型", f"{text[:60]!r} is no data type; write one of {', '.join(a + b for a, b in _TYPES.items())}")
    )
    return text
