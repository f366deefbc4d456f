"""Importing a catalogue: files of definitions become lines, lines go to the node in portions, what was refused is named by its row."""

import csv
import importlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dxmesh_client import guide
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError
from dxmesh_schemas.problem import Problem

PORTION = 200
"""Lines a request: small enough that a report comes within seconds, and that little is sent again after a break."""
_PORTION_BYTES = 8 << 20
_MOST_ROWS = 1_000_000
_ENCODINGS = ("utf-8-sig", "gb18030")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A cell or field that was refused, and what to do."""

    row: int
    column: str
    pointer: str
    name: str
    detail: str


@dataclass(slots=True)
class Result:
    """What became of a file."""

    counts: Counter[str] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)


def read(file: Path, defaults: Mapping[str, Any], sheet: str | None = None) -> list[guide.Entry]:
    """Return the resources of a file: NDJSON of definitions, or CSV or XLSX in the columns of the guide.

    Raises: ClientError for a file that is none of these.
    """
    kind = file.suffix.lower()
    if kind in (".ndjson", ".jsonl"):
        return list(_definitions(file, defaults))
    if kind not in (".csv", ".xlsx"):
        raise ClientError(f"{file.name}: the format is not known by its ending; it may be .xlsx, .csv or .ndjson")
    try:
        return list(guide.read(_sheet(file, sheet) if kind == ".xlsx" else _csv(file), defaults))
    except guide.NoGuideTable as wrong:
        raise ClientError(f"{file.name}: {wrong}") from wrong


def send(client: Client, entries: list[guide.Entry], *, until: str, progress: Any = None) -> Result:
    """Send resources and return what became of each; those that cannot be read well are refused here.

    What is there already and equal is left as it is, so a file is sent again after a break. Raises: ProblemAnswer, Unreachable.
    """
    result = Result()
    good = _good(entries, result)
    url = f"{client.profile.catalog}/v1/resources/import"
    for portion in _portions(good):
        body = b"\n".join(raw for _, raw in portion)
        headers = {"Content-Type": "application/x-ndjson"}
        # safe to repeat: a line that was entered already is found equal
        answer = client.call("POST", url, repeat=True, params={"until": until}, content=body, headers=headers).json()
        for told in answer["rows"]:
            entry = portion[told["row"] - 1][0]
            result.counts[told["outcome"]] += 1
            for error in told["errors"]:
                row, column = entry.place(error["pointer"])
                result.refusals.append(Refusal(row, column, error["pointer"], str(entry.document.get("name", "")), error["detail"]))
        if progress is not None:
            progress(len(portion))
    result.refusals.sort(key=lambda refusal: refusal.row)
    return result


def write_report(file: Path, refusals: list[Refusal]) -> None:
    """Write every refusal as a line of CSV that a spreadsheet program opens."""
    with file.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["row", "column", "pointer", "name", "detail"])
        for one in refusals:
            # an apostrophe keeps a cell from being taken for a formula
            cells = [str(one.row), one.column, one.pointer, one.name, one.detail]
            writer.writerow(["'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in cells])


def _good(entries: list[guide.Entry], result: Result) -> list[guide.Entry]:
    first: dict[tuple[str, str], int] = {}
    good = []
    for entry in entries:
        name = str(entry.document.get("name", ""))
        key = (str(entry.document.get("provider", "")), name)
        if name and first.setdefault(key, entry.row) != entry.row:
            entry.faults.append(
                guide.Fault(entry.row, "", f"stands in row {first[key]} already; a provider's resources have different names")
            )
        if not entry.faults:
            good.append(entry)
            continue
        result.counts["refused"] += 1
        result.refusals += [Refusal(fault.row, fault.column, "", name, fault.detail) for fault in entry.faults]
    return good


def _portions(entries: list[guide.Entry]) -> Iterator[list[tuple[guide.Entry, bytes]]]:
    portion: list[tuple[guide.Entry, bytes]] = []
    size = 0
    for entry in entries:
        raw = json.dumps(entry.document, ensure_ascii=False).encode()
        if portion and (len(portion) == PORTION or size + len(raw) > _PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append((entry, raw))
        size += len(raw) + 1
    if portion:
        yield portion


def _definitions(file: Path, defaults: Mapping[str, Any]) -> Iterator[guide.Entry]:
    for row, raw in enumerate(file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError) as wrong:
            yield guide.Entry(row, {}, faults=[guide.Fault(row, "", f"is not JSON: {wrong}; write one object a line, in UTF-8")])
            continue
        if not isinstance(document, dict):
            yield guide.Entry(row, {}, faults=[guide.Fault(row, "", "is no object; write one resource as a JSON object a line")])
            continue
        given = {name: value for name, value in defaults.items() if not (name == "system" and "system_id" in document)}
        yield guide.Entry(row, given | document)


def _csv(file: Path) -> list[list[str | None]]:
    raw = file.read_bytes()
    for encoding in _ENCODINGS:
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise ClientError(f"{file.name} is neither UTF-8 nor GB 18030; save it as CSV in UTF-8")
    try:
        return [list(record) for record in csv.reader(io.StringIO(text, newline=""), strict=True)]
    except csv.Error as wrong:
        raise ClientError(f"{file.name} is no CSV file: {wrong}") from wrong


def _sheet(file: Path, sheet: str | None) -> list[list[str | None]]:
    """Return the cells of a sheet, the first unless named; a formula's cell holds its last result."""
    try:
        fastexcel: Any = importlib.import_module("fastexcel")
        importlib.import_module("polars")
        read_xlsx: Any = importlib.import_module("dxmesh_tabular.read_xlsx")
    except ImportError as missing:
        raise ClientError(f"reading .xlsx needs {missing.name}: install dxmesh-client[bulk], or save the sheet as CSV") from missing
    try:
        read_xlsx.check_archive(file)  # before the reader, which holds every cell up to the last one, empty or not
        book = fastexcel.read_excel(file)
        name = sheet or book.sheet_names[0]
        if name not in book.sheet_names:
            raise ClientError(f"{file.name} has no sheet {name!r}; it has {', '.join(book.sheet_names)}")
        frame = book.load_sheet(name, header_row=None, dtypes="string").to_polars()
    except Problem as refused:
        raise ClientError(f"{file.name}: {refused.detail}") from refused
    except (fastexcel.FastExcelError, IndexError) as wrong:
        raise ClientError(f"{file.name} is no XLSX workbook, or it is damaged: {wrong}") from wrong
    if frame.height > _MOST_ROWS:
        raise ClientError(f"the sheet {name!r} has {frame.height} rows; at most {_MOST_ROWS} are read")
    return [list(row) for row in frame.iter_rows()]
