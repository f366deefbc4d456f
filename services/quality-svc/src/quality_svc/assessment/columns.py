"""Reading and writing batch objects in pieces, so that memory does not grow with the batch."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from dxmesh_tabular.writing import write_parquet

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


def write(frames: Iterator[pl.DataFrame], path: Path) -> int:
    """Write frames of the same columns, at least one, as one Parquet file and return the row count."""
    first = next(frames)
    second = next(frames, None)
    if second is None:
        first.write_parquet(path, compression="zstd", compression_level=1)
        return first.height
    return write_parquet(chain([first, second], frames), path, schema=first.schema)
