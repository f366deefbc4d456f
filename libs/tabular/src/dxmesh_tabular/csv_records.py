"""CSV record by record: every broken record is named, whatever its fault; slower than by columns, and exact."""

import csv
import io
from dataclasses import dataclass
from typing import Self

from dxmesh_tabular.chunk import NO_CHARACTER

MAX_RECORD_BYTES = 16 << 20

csv.field_size_limit(MAX_RECORD_BYTES)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its fields, or the fault that keeps it from having any."""

    fields: list[str]
    raw: str
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The records of a piece, how many bytes of it they take, and how many characters were read twice behind broken quotes."""

    records: list[Record]
    taken: int
    reread: int


def take_records(piece: bytes, delimiter: str, encoding: str, *, last: bool, only_first: bool = False) -> Found:
    """Take the records of a piece that starts at a record's start.

    Unless the piece is the `last`, its final record may be incomplete and is left. Line ends are CRLF, LF or CR; blank lines are no
    records. Behind a quote that never closes, and behind text after a closing quote, reading goes on at the next line.
    """
    if not last and b"\n" in piece:
        piece = piece[: piece.rfind(b"\n") + 1]
    text = piece.decode("utf-8", "surrogateescape")
    lines = list(io.StringIO(text, newline=""))
    if not last and lines and not lines[-1].endswith("\n"):
        lines.pop()
    suspect = "\0" in text or NO_CHARACTER.search(text) is not None
    records: list[Record] = []
    reread = 0
    ahead = _Lines(lines)
    reader = csv.reader(ahead, delimiter=delimiter, strict=True)
    start = 0
    while start < len(lines):
        try:
            for fields in reader:
                if fields:
                    raw = "".join(lines[start : ahead.at])
                    records.append(Record(fields, raw, _fault(raw, encoding) if suspect else None))
                start = ahead.at
                if only_first and records:
                    return Found(records, _byte_count(lines[:start]), reread)
        except csv.Error as error:
            open_ended = "unexpected end of data" in str(error)
            if open_ended and not last:
                break
            records.append(Record([], lines[start], _quote_fault(str(error), open_ended=open_ended)))
            start += 1
            reread += sum(map(len, lines[start : ahead.at]))
            ahead.at = start
            if open_ended:  # a reader that met the end gives no more
                reader = csv.reader(ahead, delimiter=delimiter, strict=True)
            if only_first:
                break
    return Found(records, _byte_count(lines[:start]), reread)


class _Lines:
    """Lines that can be gone back to."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if self.at >= len(self.lines):
            raise StopIteration
        self.at += 1
        return self.lines[self.at - 1]


def _byte_count(lines: list[str]) -> int:
    return len("".join(lines).encode("utf-8", "surrogateescape"))


def _quote_fault(error: str, *, open_ended: bool) -> str:
    if open_ended:
        return "a quote is opened and never closed"
    return "text follows a closing quote; a quote inside a value must be doubled" if "expected after" in error else error


def _fault(raw: str, encoding: str) -> str | None:
    if "\0" in raw:
        return "holds a NUL character"
    if NO_CHARACTER.search(raw):
        return f"holds bytes that are no {encoding} character; if the file has another encoding, declare it"
    return None
