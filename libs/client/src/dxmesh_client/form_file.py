"""The items of a form as they stand in a file: a name a line, a CSV table, or a JSON document."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from dxmesh_client.errors import ClientError

_COLUMNS = {
    "name": ("信息项名称", "name"),
    "data_type": ("数据类型", "data_type"),
    "length": ("数据长度", "length"),
    "format": ("格式", "format"),
    "code_set": ("代码集", "code_set"),
}
_TYPES = "CNYDTLMGBIF"
_ENCODINGS = ("utf-8-sig", "gb18030")


def items_of(file: Path) -> list[Any]:
    """Return the items of a form as catalog-svc takes them.

    Raises: ClientError for a file that cannot be read, with the row and column that is wrong, or that holds no item.
    """
    text, kind = _text(file), file.suffix.lower()
    if kind == ".json":
        items = _document(file, text)
    elif kind == ".csv":
        items = _table(file, text)
    elif kind == ".txt":
        items = [{"name": line.strip()} for line in text.splitlines() if line.strip()]
    else:
        raise ClientError(f"{file.name}: the format is not known by its ending; it may be .txt (a name a line), .csv or .json")
    if not items:
        raise ClientError(f"{file.name} holds no item; a form has one or more")
    return items


def _text(file: Path) -> str:
    raw = file.read_bytes()
    for encoding in _ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ClientError(f"{file.name} is no text in UTF-8 or GB 18030; save it as one of them")


def _document(file: Path, text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise ClientError(f"{file.name} is not a JSON document: {wrong}") from wrong
    items = found.get("items") if isinstance(found, dict) else found
    if not isinstance(items, list):
        raise ClientError(f'{file.name} is no list of items; write [{{"name": "公民身份号码"}}, …], alone or as "items"')
    return [{"name": item} if isinstance(item, str) else item for item in items]


def _table(file: Path, text: str) -> list[dict[str, Any]]:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as wrong:
        raise ClientError(f"{file.name} cannot be read as CSV: {wrong}") from wrong
    titles = {(title or "").strip(): title for title in (rows[0] if rows else {})}
    columns = {name: titles[title] for name, words in _COLUMNS.items() for title in words if title in titles}
    if rows and "name" not in columns:
        raise ClientError(f"{file.name} has no column {' or '.join(_COLUMNS['name'])} in its first line; the items' names stand there")
    items = []
    for number, row in enumerate(rows, 2):
        given = {name: cell for name, column in columns.items() if (cell := (row[column] or "").strip())}
        if given:
            items.append(_item(file, number, given))
    return items


def _item(file: Path, row: int, given: dict[str, str]) -> dict[str, Any]:
    item: dict[str, Any] = dict(given)
    if "name" not in item:
        raise ClientError(f"{file.name}, row {row}: the name is empty while the row says something of an item; write the item's name")
    if "data_type" in item:
        item["data_type"] = item["data_type"][-1].upper()  # 字符型C as much as C
        if item["data_type"] not in _TYPES:
            raise ClientError(f"{file.name}, row {row}: {given['data_type'][:60]!r} is no data type; write one of {', '.join(_TYPES)}")
    if "length" in item:
        if not (given["length"].isascii() and given["length"].isdigit()):
            raise ClientError(f"{file.name}, row {row}: {given['length'][:60]!r} is no whole number of characters; write one, or none")
        item["length"] = int(given["length"][:12])
    return item
