"""What reading gives: chunks of typed rows beside the lines that were refused, and the options of reading."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from dxmesh_tabular.items import REFUSED_SCHEMA

READABLE = "readable"
"""Rule of a refused line that could not be taken apart into cells."""
TYPE = "type"
"""Rule of a refused cell that is not of its item's type."""
MAX_RECORD_CHARS = 10_000  # of a refused line kept as evidence
MAX_VALUE_CHARS = 1_000
BLOCK_BYTES = 8 << 20
NO_CHARACTER = re.compile("[\ud800-\udfff]")
"""What stands in decoded text for bytes that were no character."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file.

    `needed`: item codes whose columns must be there; None means every required item.
    `delimiter`, `encoding`, `sheet`: as declared by the sender; None means found out from the file (encoding: UTF-8, UTF-16 with
    BOM, GB 18030; never a one-byte encoding unless declared).
    `block_bytes`: how much of the file is read at a time; what reading holds at once stays within about twenty times that.
    """

    needed: Sequence[str] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    block_bytes: int = BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a file, in order: `rows` (see items.schema) and `refused` (see items.REFUSED_SCHEMA)."""

    rows: pl.DataFrame
    refused: pl.DataFrame


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A data row that could not be taken apart into cells; `row` is its 1-based number."""

    row: int
    reason: str
    record: str


_NONE = pl.DataFrame(schema=REFUSED_SCHEMA)


def no_refused() -> pl.DataFrame:
    """Return a frame of refused lines that has none."""
    return _NONE


def refused_lines(broken: Iterable[BrokenLine]) -> pl.DataFrame:
    """Return broken lines as a frame of refused lines."""
    lines = list(broken)
    if not lines:
        return no_refused()
    return pl.DataFrame(
        {
            "row": pl.Series([line.row for line in lines], dtype=pl.UInt32),
            "item": pl.Series([None] * len(lines), dtype=pl.String),
            "rule": pl.Series([READABLE] * len(lines), dtype=pl.String),
            "reason": pl.Series([NO_CHARACTER.sub("\ufffd", line.reason) for line in lines], dtype=pl.String),
            "value": pl.Series([None] * len(lines), dtype=pl.String),
            "record": pl.Series([_shown(line.record) for line in lines], dtype=pl.String),
        },
        schema=REFUSED_SCHEMA,
    )


def _shown(record: str) -> str:
    """Cut a raw line to size and make it storable: bytes that are no character show as U+FFFD."""
    text = record.rstrip("\r\n")
    text = text if len(text) <= MAX_RECORD_CHARS else text[:MAX_RECORD_CHARS] + "…"
    return NO_CHARACTER.sub("\ufffd", text)
