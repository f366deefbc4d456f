"""Reading and writing batch objects in pieces, so that memory does not grow with the batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from dxmesh_tabular.writing import write_parquet

CHUNK_ROWS = 131_072
"""Rows checked at once at most."""
CHUNK_BYTES = 64 * 1024**2
"""Bytes of rows checked at once, about: with CHUNK_ROWS, what bounds memory."""
CHUNK_LINES = 65_536
"""Refused lines held at once."""
_LEAST_ROWS = 64


@dataclass(frozen=True)
class Size:
    """A Parquet file's rows, and how many of them to hold at once."""

    row_count: int
    chunk_rows: int


def size(path: Path) -> Size:
    """Return a Parquet file's size, from its footer: pieces hold at most 131,072 rows and about 64 MB."""
    footer = pq.read_metadata(path)
    row_bytes = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups)) / max(footer.num_rows, 1)
    return Size(footer.num_rows, max(_LEAST_ROWS, min(CHUNK_ROWS, int(CHUNK_BYTES / max(row_bytes, 1)))))


def chunks(path: Path, rows: int, at_once: int, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield a Parquet file of so many rows in pieces of `at_once` rows, all columns or those named."""
    if rows <= at_once:
        yield pl.read_parquet(path, columns=list(columns) if columns is not None else None, glob=False)
        return
    frame = pl.scan_parquet(path, glob=False)
    if columns is not None:
        frame = frame.select(columns)
    for offset in range(0, rows, at_once):
        yield frame.slice(offset, at_once).collect()


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
