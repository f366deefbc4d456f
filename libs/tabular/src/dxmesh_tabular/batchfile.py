"""A sent file into the two Parquet files of a batch: its rows and its refused lines, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet

from dxmesh_schemas.catalog import DataItem
from dxmesh_tabular.chunk import ReadOptions, no_refused
from dxmesh_tabular.items import schema
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.reading import read
from dxmesh_tabular.store import sha256_of
from dxmesh_tabular.writing import write_parquet

_REFUSED_GROUP_LINES = 20_000


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What became of a sent file.

    A row may have several faults, so `refused_line_count` may be above `refused_row_count`. The refused file is made only when
    there are refused lines.
    """

    rows_count: int
    refused_row_count: int
    refused_line_count: int
    rows_sha256: str
    rows_bytes: int

    @property
    def received_count(self) -> int:
        """Return the data rows of the file, broken ones too."""
        return self.rows_count + self.refused_row_count


def store_batch(
    path: Path, media: MediaType, items: Sequence[DataItem], *, options: ReadOptions | None = None, rows_to: Path, refused_to: Path
) -> StoredBatch:
    """Read a file and write its rows and its refused lines as Parquet.

    A process that does only this stays within 450 MB with the default block size, whatever the size of the file (XLSX: see read_xlsx).
    Raises: as `reading.read`; the files written by then are incomplete and the caller's to remove.
    """
    refused = _RefusedFile(refused_to)

    def rows() -> Iterator[pl.DataFrame]:
        for chunk in read(path, media, items, options=options):
            refused.add(chunk.refused)
            yield chunk.rows

    try:
        count = write_parquet(rows(), rows_to, schema=schema(items))
    finally:
        refused.close()
    return StoredBatch(count, refused.row_count, refused.line_count, sha256_of(rows_to), rows_to.stat().st_size)


@dataclass
class _RefusedFile:
    """Gathers refused lines and writes them in groups."""

    path: Path
    row_count: int = 0
    line_count: int = 0
    _waiting: list[pl.DataFrame] = field(default_factory=list)
    _waiting_lines: int = 0
    _writer: Any = None

    def add(self, lines: pl.DataFrame) -> None:
        if not lines.height:
            return
        self.line_count += lines.height
        self.row_count += lines["row"].n_unique()  # a row's lines come in one chunk
        self._waiting.append(lines)
        self._waiting_lines += lines.height
        if self._waiting_lines >= _REFUSED_GROUP_LINES:
            self._flush()

    def close(self) -> None:
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        table = pl.concat([no_refused(), *self._waiting]).to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self.path, table.schema, compression="zstd", compression_level=1)
        self._writer.write_table(table)
        self._waiting, self._waiting_lines = [], 0
