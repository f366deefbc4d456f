"""How far a worksheet reaches, found in its XML piece by piece: a reader of spreadsheets holds every cell of that rectangle."""

import re

from dxmesh_schemas.problem import TooLarge, Unreadable

MAX_CELLS = 20_000_000
"""Limit on rows times columns of one sheet, up to its last cell: 1,048,576 rows of 19 columns."""
_MAX_TAG = 1 << 20
_REFERENCE = re.compile(rb"""r\s*=\s*["']([A-Za-z]*)([0-9]+)["']""")
_TAG = re.compile(rb"<(?:[^\s<>/:]+:)?(row|c)(?=[\s/>])")
_TIDY = re.compile(rb'<(?:[^\s<>/:]+:)?(?:row r="[0-9]|c r="[A-Z]+[0-9])')
_PLACED = re.compile(rb"""(?:\s+[^\s=<>"'/]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'))*?\s+r\s*=\s*["'][A-Za-z]*[0-9]+["']""")


class Extent:
    """The rows and columns a part's cells reach; of a part that is no worksheet nothing is looked at.

    It errs to the large side: whatever looks like a reference counts, also in a comment or at an empty cell, so nothing is hidden.
    """

    def __init__(self, part: str) -> None:
        self._part = part
        self._rest = b""
        self._is_sheet = False
        self._row = self._column = 0
        self._unplaced_rows = self._run = self._widest = 0

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the part. Raises: TooLarge (413) as soon as the rectangle is beyond the limit, Unreadable (400)."""
        text = self._rest + piece
        self._is_sheet = self._is_sheet or b"sheetData" in text
        cut = max(text.rfind(b"<"), 0)
        self._rest = text[cut:]
        if not self._is_sheet:
            self._rest = self._rest[-64:]
            return
        self._scan(text[:cut])
        if len(self._rest) > _MAX_TAG:
            raise Unreadable(f"the workbook is damaged: {self._part} has text or a tag of more than {_MAX_TAG} bytes")

    def end(self) -> None:
        """Look at what is left. Raises: TooLarge (413)."""
        if self._is_sheet:
            self._scan(self._rest)

    def _scan(self, text: bytes) -> None:
        for letters, digits in set(_REFERENCE.findall(text)):
            if len(letters) > 3 or len(digits) > 7:
                raise self._too_large(f"names a cell {(letters[:8] + digits[:12]).decode()}, which no sheet has")
            self._row = max(self._row, int(digits))
            self._column = max(self._column, _column(letters))
        if len(_TAG.findall(text)) != len(_TIDY.findall(text)):
            self._count_unplaced(text)
        rows, columns = self._row + self._unplaced_rows, self._column + self._widest
        if rows * columns > MAX_CELLS:
            raise self._too_large(f"has cells as far as {_letters(columns)}{rows}: {rows} rows of {columns} columns")

    def _count_unplaced(self, text: bytes) -> None:
        """A row or cell without a place of its own follows the one before."""
        for tag in _TAG.finditer(text):
            is_placed = _PLACED.match(text, tag.end()) is not None
            if tag[1] == b"row":
                self._run = 0
                self._unplaced_rows += not is_placed
            elif not is_placed:
                self._run += 1
                self._widest = max(self._widest, self._run)

    def _too_large(self, what: str) -> TooLarge:
        return TooLarge(
            f"the workbook is not read: {self._part} {what}; the limit is {MAX_CELLS} cells a sheet, empty ones too. Delete the"
            " columns and rows beyond the table, also empty ones with a format, or send larger tables as CSV or Parquet"
        )


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _letters(column: int) -> str:
    name = ""
    while column:
        column, place = divmod(column - 1, 26)
        name = chr(65 + place) + name
    return name
