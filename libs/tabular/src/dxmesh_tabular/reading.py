"""Any file of a known format, read into chunks of typed rows and refused lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.problem import Unreadable
from dxmesh_tabular.chunk import Chunk, ReadOptions
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.read_arrow import read_arrow_file, read_arrow_stream, read_parquet
from dxmesh_tabular.read_csv import read_csv
from dxmesh_tabular.read_json import read_json, read_ndjson
from dxmesh_tabular.read_xlsx import read_xlsx

__all__ = ["Chunk", "MediaType", "ReadOptions", "read"]

_READERS = {
    MediaType.CSV: read_csv,
    MediaType.NDJSON: read_ndjson,
    MediaType.JSON: read_json,
    MediaType.XLSX: read_xlsx,
    MediaType.PARQUET: read_parquet,
    MediaType.ARROW_STREAM: read_arrow_stream,
    MediaType.ARROW_FILE: read_arrow_file,
}


def read(path: Path, media: MediaType, items: Sequence[DataItem], *, options: ReadOptions | None = None) -> Iterator[Chunk]:
    """Yield a file's rows, typed by the resource's items, and its refused lines, in the file's order.

    `row_` counts data rows from 1, broken ones too. Raises, when the faulty part is reached: Invalid (422) for the columns,
    Unreadable (400) for a file that is empty or not what it says, UnsupportedMedia (415) for its encoding, TooLarge (413).
    """
    if path.stat().st_size == 0:
        raise Unreadable("the body is empty: send the file as the body of the request")
    chosen = options or ReadOptions()
    rows = 0
    for chunk in _READERS[media](path, items, chosen):
        rows += chunk.rows.height + chunk.refused.height
        if chunk.rows.height or chunk.refused.height:
            yield chunk
    if not rows:
        raise Unreadable("the file has no data rows")
