"""CSV in bounded memory: blocks proven regular are read in columns, the others record by record so that each broken line is named."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.problem import Unreadable
from dxmesh_tabular import casting, columns
from dxmesh_tabular.chunk import BrokenLine, Chunk, ReadOptions, refused_lines
from dxmesh_tabular.csv_records import MAX_RECORD_BYTES, Record, take_records
from dxmesh_tabular.encoding import Utf8Reader
from dxmesh_tabular.items import ROW

DELIMITERS = (",", ";", "\t", "|")
MAX_HEADER_BYTES = 1 << 20
_CAREFUL_BYTES = 1 << 17  # tried at a time, where a whole block is not regular
_SMALL_BYTES = 1 << 15  # up to here one expression proves quotes quicker than columns do
_MAX_REREAD = 64 << 20  # characters read again behind broken quotes, before the file is given up: the work stays linear


def read_csv(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield a CSV file's rows, typed, and its refused lines.

    RFC 4180 with any of four delimiters, line ends CRLF, LF or CR, blank lines ignored. A line with too many or too few fields, a
    quote that never closes, text behind a closing quote, a NUL character or bytes that are no character refuse that row. Memory
    stays within about twenty times `options.block_bytes`, whatever the file's size; a record is at most 16 MiB.
    Raises: Invalid (422) for its columns, Unreadable (400) when empty or beyond reading, UnsupportedMedia (415) for its encoding.
    """
    source = Utf8Reader(path, options.encoding)
    try:
        block = _through_header(source, options.block_bytes)
        text, used = _header_text(block)
        delimiter = _delimiter(text, items, options.delimiter)
        matched = columns.match(_header(text, delimiter), items, options.needed)
        yield from _Body(source, options.block_bytes, delimiter, matched, items, block[used:]).chunks()
    finally:
        source.close()


def _through_header(source: Utf8Reader, block_bytes: int) -> bytes:
    """Read until the first record that is not blank has come whole, or a megabyte."""
    block = b""
    while len(block) < MAX_HEADER_BYTES:
        more = source.read(block_bytes)
        block += more
        lines = block.lstrip(b"\r\n")
        if not more or (lines.count(b'"') % 2 == 0 and (b"\n" in lines or b"\r" in lines[:-1])):
            break
    return block


def _header_text(block: bytes) -> tuple[str, int]:
    """Return the first record that is not blank, and how many bytes it takes with what is before it."""
    text = block[:MAX_HEADER_BYTES].decode("utf-8", "surrogateescape")
    taken = ""
    for line in io.StringIO(text, newline=""):
        taken += line
        if taken.strip() and taken.count('"') % 2 == 0:
            break
    if not taken.strip():
        raise Unreadable("the file is empty: it has no header line")
    if "\0" in taken:
        raise Unreadable("the header line holds NUL characters: this is no text, or UTF-16 without a byte order mark; declare its encoding")
    return taken.lstrip("\r\n"), len(taken.encode("utf-8", "surrogateescape"))


def _delimiter(header: str, items: Sequence[DataItem], declared: str | None) -> str:
    if declared is not None:
        if len(declared) != 1 or not declared.isascii() or declared in '"\r\n\0':
            raise Unreadable(f"{declared!r} cannot be a delimiter: it is one ASCII character, no quote and no line end")
        return declared

    known = columns.Names(items)

    def fitting(delimiter: str) -> tuple[int, int]:
        names = _header(header, delimiter)
        return sum(known.find(name) is not None for name in names), len(names)

    return max(DELIMITERS, key=fitting)


def _header(text: str, delimiter: str) -> list[str]:
    try:
        fields = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        raise Unreadable(f"the header line cannot be read: {error}") from error
    return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in fields]


class _Body:
    """The data records of one file; a record starts at `at` of the bytes waiting."""

    def __init__(
        self, source: Utf8Reader, block_bytes: int, delimiter: str, matched: Sequence[DataItem], items: Sequence[DataItem], waiting: bytes
    ) -> None:
        self.source = source
        self.block_bytes = block_bytes
        self.delimiter = delimiter
        self.items = items
        self.names = [item.code for item in matched]
        self.schema = dict.fromkeys(self.names, pl.String())
        self.waiting = waiting
        self.at = 0
        self.ended = False
        self.row = 1  # number of the next data row
        self.careful_left = 0  # bytes still to be read record by record
        self.reread = 0

    def chunks(self) -> Iterator[Chunk]:
        while True:
            self._fill(self.block_bytes)
            if self.at >= len(self.waiting):
                return
            yield self._whole_block() or self._part_of_block()

    def _fill(self, size: int) -> None:
        """Read until `size` bytes wait, or the file has ended."""
        while not self.ended and len(self.waiting) - self.at < size:
            more = self.source.read(self.block_bytes)
            self.waiting = self.waiting[self.at :] + more
            self.at = 0
            self.ended = not more

    def _whole_block(self) -> Chunk | None:
        if self.careful_left > 0:
            return None
        chunk = self._by_columns(len(self.waiting))
        self.careful_left = 0 if chunk else self.block_bytes
        return chunk

    def _part_of_block(self) -> Chunk:
        """Read a part of a block that is not regular: the part itself may be."""
        return self._by_columns(_CAREFUL_BYTES) or self._by_records()

    def _advance(self, taken: int) -> None:
        self.at += taken
        self.careful_left -= taken

    def _by_columns(self, limit: int) -> Chunk | None:
        """Read the records in the next `limit` bytes at once, if it can be proven that each has its fields; None if not."""
        stop = min(self.at + limit, len(self.waiting))
        whole = self.ended and stop == len(self.waiting)
        end = stop if whole else self.waiting.rfind(b"\n", self.at, stop) + 1
        block = self.waiting[self.at : end]
        if b"\0" in block or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n")):
            return None
        quoted = b'"' in block
        if quoted and not whole:
            block = block[: _even_quotes(block)]
        taken = len(block)
        if taken and not block.endswith(b"\n"):
            block += b"\n"
        if not block or (quoted and not _quotes_are_regular(block, self.delimiter)):
            return None
        try:
            frame = pl.read_csv(
                block, has_header=False, separator=self.delimiter, schema=self.schema, infer_schema=False, credential_provider=None
            )
        except PolarsError:  # a line with too many fields, or bytes that are not UTF-8: named record by record
            return None
        if not self._has_every_field(block, frame):
            return None
        self._advance(taken)
        first, self.row = self.row, self.row + frame.height
        return casting.cast(frame.with_row_index(ROW, first), self.items)

    def _has_every_field(self, block: bytes, frame: pl.DataFrame) -> bool:
        """Say whether records have all their fields; longer ones are errors already, so only short ones are looked for."""
        if frame[self.names[-1]].null_count() == 0:
            return True  # polars fills up a short or blank line with nulls
        if len(self.names) == 1:
            return not _has_blank_line(block)
        between = block.count(self.delimiter.encode())
        wanted = frame.height * (len(self.names) - 1)
        if b'"' in block:  # those inside quotes stand in cells, and must not make up for missing ones
            between -= frame.select(pl.sum_horizontal(pl.all().str.count_matches(self.delimiter, literal=True).sum())).item() or 0
        return between == wanted

    def _by_records(self) -> Chunk:
        """Read a part of what waits record by record, naming each that is broken."""
        size = _CAREFUL_BYTES
        while True:
            self._fill(size)
            piece = self.waiting[self.at : self.at + size]
            last = self.ended and self.at + len(piece) == len(self.waiting)
            longest = size >= MAX_RECORD_BYTES and not last
            found = take_records(piece, self.delimiter, self.source.encoding or "UTF-8", last=last, only_first=False)
            if longest and not found.taken:
                if b"\n" not in piece:
                    raise Unreadable(f"data row {self.row} is longer than {MAX_RECORD_BYTES} bytes")
                found = take_records(piece, self.delimiter, self.source.encoding or "UTF-8", last=True, only_first=True)
            if found.taken or last:
                break
            size = min(size * 8, MAX_RECORD_BYTES)
        self._advance(found.taken)
        self.reread += found.reread
        if self.reread > _MAX_REREAD:
            raise Unreadable(
                f"the quotes of the file do not pair, before data row {self.row + len(found.records)}: "
                "quote every value that holds a quote, and double the quote inside"
            )
        return self._sorted_out(found.records)

    def _sorted_out(self, records: Sequence[Record]) -> Chunk:
        width = len(self.names)
        rows: list[list[str]] = []
        numbers: list[int] = []
        broken: list[BrokenLine] = []
        for number, record in enumerate(records, self.row):
            if record.fault is not None:
                broken.append(BrokenLine(number, record.fault, record.raw))
            elif len(record.fields) != width:
                broken.append(BrokenLine(number, f"has {len(record.fields)} fields, not {width}", record.raw))
            else:
                rows.append(record.fields)
                numbers.append(number)
        self.row += len(records)
        cells = list(zip(*rows, strict=True)) if rows else [()] * width
        frame = pl.DataFrame(
            [
                pl.Series(ROW, numbers, dtype=pl.UInt32),
                *(pl.Series(name, cell, dtype=pl.String) for name, cell in zip(self.names, cells, strict=True)),
            ]
        )
        chunk = casting.cast(frame, self.items)
        if not broken:
            return chunk
        return Chunk(chunk.rows, pl.concat([chunk.refused, refused_lines(broken)]).sort("row", maintain_order=True))


def _quotes_are_regular(block: bytes, delimiter: str) -> bool:
    """Say whether each quote of a block opens a field, closes one or is doubled inside one (RFC 4180 section 2.5 to 2.7)."""
    if len(block) <= _SMALL_BYTES:
        return _regular(delimiter).fullmatch(block) is not None
    return _quotes_pair(block, delimiter)


@cache
def _regular(delimiter: str) -> re.Pattern[bytes]:
    between = re.escape(delimiter.encode())
    return re.compile(rb'(?:(?:"(?:[^"]|"")*+"|[^"%b\n]*)(?:%b|\n|\r\n))*+' % (between, between))


def _quotes_pair(block: bytes, delimiter: str) -> bool:
    """As `_quotes_are_regular`, in columns; the block ends with a line end."""
    text = pl.Series(pa.UInt8Array.from_buffers(pa.uint8(), len(block), [None, pa.py_buffer(block)]))
    quotes = (text == ord('"')).arg_true().cast(pl.Int64)
    if len(quotes) % 2:
        return False
    opening, closing = quotes.gather_every(2), quotes.gather_every(2, 1)
    doubled = opening == closing.shift(1, fill_value=-1) + 1  # closed and opened again: a quote inside; at the very start, a field's first
    starts = doubled | text.gather((opening - 1).clip(0)).is_in([ord(delimiter), ord("\n")])
    ends = doubled.shift(-1, fill_value=False) | text.gather(closing + 1).is_in([ord(delimiter), ord("\n"), ord("\r")])
    return bool(starts.all() and ends.all())


def _has_blank_line(block: bytes) -> bool:
    return b"\n\n" in block or b"\n\r\n" in block or block[:1] in (b"\r", b"\n")


def _even_quotes(block: bytes) -> int:
    """Return the end of the last line with an even number of quotes up to it: in a regular block, the end of a record."""
    end = len(block)
    odd = block.count(b'"') % 2 == 1
    while odd and end > 0:
        quote = block.rfind(b'"', 0, end)
        before = block.rfind(b"\n", 0, quote) + 1
        odd ^= block.count(b'"', before, end) % 2 == 1
        end = before
    return end
