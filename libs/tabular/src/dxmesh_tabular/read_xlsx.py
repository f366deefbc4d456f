"""XLSX: one sheet, read as text cells after the archive has been checked for bombs."""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import fastexcel
import polars as pl

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.problem import Invalid, TooLarge, Unreadable
from dxmesh_tabular import casting, columns
from dxmesh_tabular.chunk import Chunk, ReadOptions
from dxmesh_tabular.extent import Extent
from dxmesh_tabular.items import ROW

MAX_INFLATED_BYTES = 256 << 20
"""Limit on what the parts of a workbook inflate to, together: some 600,000 rows of ten columns."""
MAX_RATIO = 300
"""Limit on how far one part may inflate, beyond its first megabyte."""
MAX_PARTS = 10_000
_SLICE_ROWS = 1 << 16
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_PIECE = 1 << 16


def read_xlsx(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield the rows of one sheet (the first, or `options.sheet`), typed, and its refused lines.

    The first row that is not blank is the header. `row_` is the sheet's row less the header's, so a blank row keeps its number and
    is no row. Whole numbers become '110101', never '110101.0'. A number of more than 15 digits has lost digits in the spreadsheet
    program already: send such identifiers as text. Memory is bounded by the limits on the inflated parts, some eight times their
    256 MiB, and on the cells a sheet spans.
    Raises: TooLarge (413) beyond a limit, Unreadable (400) if it is no workbook, Invalid (422) for sheet and columns.
    """
    check_archive(path)
    try:
        book = fastexcel.read_excel(path)
        names = book.sheet_names
        sheet = names[0] if options.sheet is None and names else options.sheet
        if sheet not in names:
            raise Invalid(
                f"the workbook has no sheet {sheet!r}; it has: {', '.join(names)}",
                errors=[{"pointer": "/sheet", "detail": "no such sheet"}],
            )
        frame = book.load_sheet(sheet, header_row=None, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise Unreadable(f"the workbook cannot be read: {str(error).splitlines()[0][:200]}") from error
    frame = frame.select(column for column in frame if column.null_count() < column.len())
    if not frame.height or not frame.width:
        raise Unreadable(f"the sheet {sheet!r} is empty: it has no header row")
    matched = columns.match([cell or "" for cell in frame.row(0)], items, options.needed)
    body = frame.slice(1).rename(dict(zip(frame.columns, (item.code for item in matched), strict=True)))
    body = body.with_columns(pl.int_range(1, body.height + 1, dtype=pl.UInt32, eager=True).alias(ROW))
    for part in body.iter_slices(_SLICE_ROWS):
        yield casting.cast(part.filter(pl.any_horizontal(pl.exclude(ROW).is_not_null())), items)


def check_archive(path: Path) -> None:
    """Refuse a zip archive that would inflate beyond the limits, by what its directory declares and by inflating it.

    So is a sheet refused whose cells span more than `extent.MAX_CELLS`, and a spreadsheet of another kind, which nothing here measures.

    Raises: TooLarge (413), Unreadable (400) for what is no sound zip archive.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_INFLATED_BYTES:
                raise _bomb(f"its {len(parts)} parts inflate to {sum(part.file_size for part in parts)} bytes")
            if "xl/_rels/workbook.xml.rels" not in {part.filename.replace("\\", "/").lower() for part in parts}:
                raise Unreadable("the body is no XLSX workbook: it has no xl/_rels/workbook.xml.rels; save it as .xlsx")
            for part in parts:
                if part.flag_bits & 1:
                    raise Unreadable("the workbook is protected by a password; send it without")
                if part.file_size > (1 << 20) and part.file_size > MAX_RATIO * part.compress_size:
                    raise _bomb(f"{part.filename} inflates more than {MAX_RATIO} times")
                _inflates_as_declared(file, part)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError) as error:
        raise Unreadable("the body is not an XLSX workbook, or it is damaged or cut off") from error


def _inflates_as_declared(file: BinaryIO, part: zipfile.ZipInfo) -> None:
    """Inflate a part, keeping nothing; a directory that understates its size is a bomb whatever the reader behind trusts."""
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(f"{part.filename} is compressed in a way that XLSX does not use")
    file.seek(part.header_offset)
    magic, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if magic != b"PK\x03\x04":
        raise zipfile.BadZipFile("no local header")
    file.seek(name_length + extra_length, 1)
    extent = Extent(part.filename)
    if part.compress_type == zipfile.ZIP_STORED:
        if part.file_size != part.compress_size:
            raise _bomb(f"{part.filename} declares a size that is not its own")
        for start in range(0, part.file_size, _PIECE):
            extent.feed(file.read(min(_PIECE, part.file_size - start)))
        extent.end()
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    left, inflated = part.compress_size, 0
    while left > 0 and not inflater.eof:
        raw = file.read(min(_PIECE, left))
        if not raw:
            raise EOFError
        left -= len(raw)
        while raw:
            piece = inflater.decompress(raw, 1 << 20)
            inflated += len(piece)
            extent.feed(piece)
            raw = inflater.unconsumed_tail
            if inflated > part.file_size:
                raise _bomb(f"{part.filename} inflates beyond the size it declares")
    if inflated != part.file_size:
        raise zipfile.BadZipFile("a part is cut off")
    extent.end()


def _bomb(what: str) -> TooLarge:
    return TooLarge(f"the workbook is not read: {what}; the limit is {MAX_INFLATED_BYTES} bytes. Send larger tables as CSV or Parquet")
