"""Reading and writing batch objects in pieces, so that memory does not grow with the batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl
import pyarrow.parquet as pq

CHUNK_ROWS = 131_072
"""Rows checked at once: what bounds memory."""
CHUNK_LINES = 65_536
"""Refused or quarantined lines held at once."""


def row_count(path: Path) -> int:
    """Return the rows of a Parquet file, from its footer."""
    return int(pq.read_metadata(path).num_rows)


def chunks(path: Path, rows: int, size: int, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield a Parquet file of so many rows in pieces of `size` rows, all columns or those named."""
    if rows <= size:
        yield pl.read_parquet(path, columns=list(columns) if columns is not None else None, glob=False)
        return
    frame = pl.scan_parquet(path, glob=False)
    if columns is not None:
        frame = frame.select(columns)
    for offset in range(0, rows, size):
        yield frame.slice(offset, size).collect()


def merged(left: Iterator[pl.DataFrame], right: Iterator[pl.DataFrame], by: str) -> Iterator[pl.DataFrame]:
    """Merge two sequences of frames, each in the order of a column, into one in that order."""
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        upto = min(one[by][-1], other[by][-1])
        yield pl.concat([one.filter(pl.col(by) <= upto), other.filter(pl.col(by) <= upto)]).sort(by, maintain_order=True)
        one, other = one.filter(pl.col(by) > upto), other.filter(pl.col(by) > upto)
        one = one if one.height else next(left, None)
        other = other if other.height else next(right, None)
    for rest, first in ((left, one), (right, other)):
        if first is not None:
            yield first
        yield from rest


class ParquetSink:
    """A Parquet file written frame by frame, a row group each; the file exists once the first frame is written."""

    def __init__(self, path: Path, repeating: Sequence[str] = ()) -> None:
        self.path = path
        self._repeating = list(repeating)  # columns of few values: the others are not worth a dictionary's time
        self.row_count = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, frame: pl.DataFrame) -> None:
        """Append a frame."""
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self.path, table.schema, compression="zstd", compression_level=1, use_dictionary=self._repeating or False
            )
        self._writer.write_table(table)
        self.row_count += frame.height
