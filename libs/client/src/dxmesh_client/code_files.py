"""Published files of codes, in the columns catalog-svc takes in: any order of columns, other names for them, ids for parents."""

import csv
import gzip
import io
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from dxmesh_client.errors import ClientError

COLUMNS = ("code", "label", "parent", "valid_from", "valid_until", "is_retired", "successors", "source", "note")
_ALIASES = {
    "code": ("code", "代码", "区划代码", "code_2", "code_number"),
    "label": ("label", "名称", "name_cn", "name"),
    "parent": ("parent", "上级代码", "parent_code"),
    "valid_from": ("valid_from", "启用日期"),
    "valid_until": ("valid_until", "停用日期"),
    "is_retired": ("is_retired", "已停用", "revoked"),
    "successors": ("successors", "后继代码"),
    "source": ("source", "来源"),
    "note": ("note", "说明"),
}

_SEPARATORS = str.maketrans(";；,，、|", "      ")
_TRUE = ("true", "1", "yes", "y", "是")


def rows_of(path: Path, *, prefix: str = "") -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file (UTF-8; .gz and .xz too) whose code begins with a prefix, under the names of COLUMNS.

    A parent that is given by the id of its row becomes its code; columns that say nothing of codes are left out.
    Raises: ClientError when the file cannot be read or has no column of codes.
    """
    try:
        with _open(path) as text:
            rows = list(csv.DictReader(text))
    except (UnicodeDecodeError, lzma.LZMAError, gzip.BadGzipFile, EOFError, csv.Error) as wrong:
        raise ClientError(f"{path.name} cannot be read: send CSV in UTF-8, plain or whole as .gz or .xz ({wrong})") from wrong
    found = {name.strip(): name for name in (rows[0] if rows else {}) if name is not None}
    columns = {name: found[alias] for name, aliases in _ALIASES.items() for alias in aliases[::-1] if alias in found}
    if "code" not in columns:
        raise ClientError(f"{path.name} has no column of codes; one of {', '.join(_ALIASES['code'])} must stand in its first line")
    by_id = {row[found["id"]]: row[columns["code"]] for row in rows} if {"id", "parent_id"} <= set(found) else {}
    for row in rows:
        if (row[columns["code"]] or "").startswith(prefix):
            given = {name: row[column] or "" for name, column in columns.items()}
            if by_id:
                given["parent"] = by_id.get(row[found["parent_id"]], "")
            yield given


def as_entries(rows: Iterable[dict[str, str]]) -> list[dict[str, Any]]:
    """Return rows as the entries a draft of a code set is written of; what is empty is left out."""
    entries: list[dict[str, Any]] = []
    for row in rows:
        said: dict[str, Any] = {name: value.strip() for name, value in row.items() if name in COLUMNS and value.strip()}
        if "successors" in said:
            said["successors"] = list(dict.fromkeys(said["successors"].translate(_SEPARATORS).split()))
        is_retired = said.pop("is_retired", "").lower() in _TRUE and "valid_until" not in said
        entries.append(said | ({"is_retired": True} if is_retired else {}))
    return entries


def as_csv(rows: Iterable[dict[str, str]]) -> bytes:
    """Return rows as the CSV that catalog-svc takes in."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _open(path: Path) -> TextIO:
    match path.suffix.lower():
        case ".xz":
            return io.TextIOWrapper(lzma.open(path), encoding="utf-8-sig", newline="")
        case ".gz":
            return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
        case _:
            return path.open(encoding="utf-8-sig", newline="")
