"""Files of codes, CSV or XLSX: their columns, and every bad row by its number and column."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog_svc.code_set.entry import Entry
from catalog_svc.code_set.errors import CodeSetInvalid
from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.reading import read

MAX_FILE_BYTES = 32 << 20
MAX_NAMED_ROWS = 100
"""Bad rows that a refusal names."""
MEDIA = (MediaType.CSV, MediaType.XLSX)
_SEPARATORS = str.maketrans(";；,，、|", "      ")

COLUMNS = tuple(
    DataItem(code=code, name=name, data_type=kind, required=code == "code")
    for code, name, kind in (
        ("code", "代码", DataType.TEXT),
        ("label", "名称", DataType.TEXT),
        ("parent", "上级代码", DataType.TEXT),
        ("valid_from", "启用日期", DataType.DATE),
        ("valid_until", "停用日期", DataType.DATE),
        ("is_retired", "已停用", DataType.LOGICAL),
        ("successors", "后继代码", DataType.TEXT),
        ("source", "来源", DataType.TEXT),
        ("note", "说明", DataType.TEXT),
    )
)
"""A header is the English or the Chinese word; `valid_until` is the first day without the code; successors stand apart by blanks or ;."""


@dataclass(frozen=True, slots=True)
class CodeFile:
    """What a file says: entries with the number of their row (1 is the first below the header), and the bad rows."""

    entries: list[Entry]
    rows: list[int]
    faults: list[tuple[int, str, str]]  # row, column, what is wrong


def read_codes(path: Path, media: MediaType, *, source: str, options: ReadOptions, limit: int) -> CodeFile:
    """Read a file of codes; a row without a source of its own is said by `source`.

    Raises: Invalid (422) for the columns, Unreadable (400), UnsupportedMedia (415), TooLarge (413), and CodeSetInvalid (422)
    beyond `limit` rows.
    """
    found = CodeFile([], [], [])
    for chunk in read(path, media, COLUMNS, options=options):
        if len(found.entries) + chunk.rows.height > limit:
            detail = f"the file has more than {limit} rows; send it in parts, say the streets of each province as a set of their own"
            raise CodeSetInvalid.at("", detail)
        for row, entry in _entries(chunk.rows.to_dicts(), source):
            if entry is None:
                found.faults.append((row, "code", "is empty; write the code, or take the row out"))
            else:
                found.entries.append(entry)
                found.rows.append(row)
        found.faults.extend((line["row"], line["item"] or "", line["reason"]) for line in chunk.refused.to_dicts())
    found.faults.sort()
    return found


def _entries(rows: list[dict[str, Any]], source: str) -> Iterator[tuple[int, Entry | None]]:
    for row in rows:
        if row["code"] is None:
            yield row["row_"], None
            continue
        yield (
            row["row_"],
            Entry(
                code=row["code"],
                source=(row["source"] or "").strip() or source,
                label=(row["label"] or "").strip() or None,
                parent=row["parent"],
                valid_from=row["valid_from"],
                valid_until=row["valid_until"],
                is_retired=bool(row["is_retired"]) and row["valid_until"] is None,
                successors=tuple(dict.fromkeys((row["successors"] or "").translate(_SEPARATORS).split())),
                note=(row["note"] or "").strip() or None,
            ),
        )
