"""NDJSON and JSON arrays of objects in bounded memory: blocks proven regular are read in columns, the others object by object."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.problem import Unreadable
from dxmesh_tabular.chunk import Chunk, ReadOptions
from dxmesh_tabular.encoding import Utf8Reader
from dxmesh_tabular.json_columns import Objects
from dxmesh_tabular.json_records import DECODER, Fault

MAX_RECORD_BYTES = 16 << 20
_CAREFUL_BYTES = 1 << 19
_SHARE = 2  # of a block is read at a time: proving and parsing JSON holds more beside it than CSV does


def read_ndjson(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield the rows of newline-delimited JSON objects, typed, and its refused lines.

    Members are named by item code, else by item name; an absent member is null. A line that is no JSON object refuses that row.
    Numbers sent for text items keep their literal text. Memory stays within about twenty times `options.block_bytes`; a line is at
    most 16 MiB. Raises: Invalid (422) for unknown, doubled and missing members, Unreadable (400).
    """
    source = Utf8Reader(path, options.encoding)
    objects = Objects(items, options.needed)
    waiting, ended = b"", False
    try:
        while waiting or not ended:
            more = b"" if ended else source.read(options.block_bytes // _SHARE)
            ended = not more
            waiting += more
            if objects.row == 1 and waiting.lstrip()[:1] == b"[":
                raise Unreadable("the body is a JSON array, not one object a line; send it as application/json")
            end = len(waiting) if ended else waiting.rfind(b"\n") + 1
            if not end and len(waiting) > MAX_RECORD_BYTES:
                raise _too_long(objects.row)
            block, waiting = waiting[:end], waiting[end:]
            if block.strip():
                yield from _lines(objects, block, source.encoding or "UTF-8")
    finally:
        source.close()


def _lines(objects: Objects, block: bytes, encoding: str) -> Iterator[Chunk]:
    if objects.row == 1 and len(block) > _CAREFUL_BYTES:  # the first object teaches the order of the members
        end = block.find(b"\n") + 1 or len(block)
        yield objects.by_lines(block[:end].decode("utf-8", "surrogateescape"), encoding)
        block = block[end:]
        if not block.strip():
            return
    chunk = objects.by_columns(block if block.endswith(b"\n") else block + b"\n", lines=True)
    if chunk is not None:
        yield chunk
        return
    at = 0
    while at < len(block):  # in parts: a part that is regular is still read in columns
        end = block.find(b"\n", min(at + _CAREFUL_BYTES, len(block) - 1)) + 1 or len(block)
        part, at = block[at:end], end
        chunk = objects.by_columns(part, lines=True) if part.endswith(b"\n") else None
        yield chunk or objects.by_lines(part.decode("utf-8", "surrogateescape"), encoding)


def read_json(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield the rows of one JSON array of objects, typed; as `read_ndjson`, but text that is not JSON ends the reading.

    Raises: Invalid (422) for members, Unreadable (400) naming the row where the array breaks.
    """
    source = Utf8Reader(path, options.encoding)
    try:
        yield from _Array(source, Objects(items, options.needed), options.block_bytes // _SHARE).chunks()
    finally:
        source.close()


class _Array:
    """One JSON array, taken from its source piece by piece."""

    def __init__(self, source: Utf8Reader, objects: Objects, block_bytes: int) -> None:
        self.source = source
        self.objects = objects
        self.block_bytes = block_bytes
        self.waiting = b""
        self.ended = False

    def chunks(self) -> Iterator[Chunk]:
        self._fill()
        if self.waiting[:1] != b"[":
            raise Unreadable("the body is not a JSON array of objects; it must start with [ and end with ]")
        self.waiting = self.waiting[1:]
        closed = False
        while not closed:
            self._fill()
            chunk = self._by_columns()
            if chunk is None:
                chunk, closed = self._by_objects()
            if chunk is not None:
                yield chunk
        self._fill()
        if self.waiting:
            raise Unreadable("text follows the end of the JSON array")

    def _fill(self) -> None:
        self.waiting = self.waiting.lstrip(b" \t\r\n")
        while not self.ended and len(self.waiting) < self.block_bytes:
            more = self.source.read(self.block_bytes)
            self.ended = not more
            self.waiting = (self.waiting + more).lstrip(b" \t\r\n")

    def _by_columns(self) -> Chunk | None:
        """Read all whole objects that wait and have a comma behind them."""
        end = self.waiting.rfind(b"}", 0, self.waiting.rfind(b"}")) + 1  # the last may be the array's last, without a comma
        comma = self.waiting.find(b",", end) + 1
        if not end or not comma:
            return None
        chunk = self.objects.by_columns(self.waiting[:comma], lines=False)
        if chunk is not None:
            self.waiting = self.waiting[comma:]
        return chunk

    def _by_objects(self) -> tuple[Chunk | None, bool]:
        """Read some objects one by one; say whether the array ended."""
        piece = self.waiting[:_CAREFUL_BYTES]
        size = len(piece)
        while True:
            whole = self.ended and size >= len(self.waiting)
            text = _decoded(piece, self.objects.row, whole=whole)
            found, taken, closed = _take(text, self.objects.row, whole=whole)
            if found or closed:
                break
            if whole:
                raise Unreadable(f"the JSON array breaks off in data row {self.objects.row}")
            if size >= MAX_RECORD_BYTES:
                raise _too_long(self.objects.row)
            size = min(size * 8, MAX_RECORD_BYTES)
            if len(self.waiting) < size and not self.ended:
                self.waiting += self.source.read(self.block_bytes)
            piece = self.waiting[:size]
        self.waiting = self.waiting[len(text[:taken].encode()) :]
        return (self.objects.by_objects(found) if found else None), closed


def _decoded(piece: bytes, row: int, *, whole: bool) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError as error:
        if not whole and len(piece) - error.start < 4:
            return piece[: error.start].decode()
        raise Unreadable(f"the body holds bytes that are not UTF-8, at data row {row} or after it") from error


def _take(text: str, row: int, *, whole: bool) -> tuple[list[tuple[Any, str]], int, bool]:
    """Return whole objects with their text, how many characters they take, and whether the array is closed behind them."""
    found: list[tuple[Any, str]] = []
    at = taken = 0
    while True:
        at = _blank(text, at)
        if row == 1 and not found and text[at : at + 1] == "]":
            return found, at + 1, True
        try:
            value, end = DECODER.raw_decode(text, at)
        except (json.JSONDecodeError, Fault, RecursionError) as error:
            if whole or isinstance(error, Fault | RecursionError):
                message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                raise Unreadable(f"the JSON array breaks in data row {row + len(found)}: {message}") from error
            return found, taken, False
        behind = _blank(text, end)
        mark = text[behind : behind + 1]
        if mark == ",":
            found.append((value, text[at:end]))
            at = taken = behind + 1
        elif mark == "]":
            found.append((value, text[at:end]))
            return found, behind + 1, True
        elif mark or whole:
            raise Unreadable(f"the JSON array breaks behind data row {row + len(found)}: a comma or ] must follow")
        else:
            return found, taken, False


def _blank(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r", "\n") and at < len(text):
        at += 1
    return at


def _too_long(row: int) -> Unreadable:
    return Unreadable(f"data row {row} is longer than {MAX_RECORD_BYTES} bytes")
