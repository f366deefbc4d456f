"""From a resource's table to a sealed file: rows as the grant reads them, a manifest with digests, the node's signature over it."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import polars as pl

from dxmesh_schemas.exchange import ObjectRef
from dxmesh_tabular.items import ROW, SEQUENCE, polars_type
from dxmesh_tabular.lookup import Lookup
from dxmesh_tabular.store import ObjectStore, sha256_of
from dxmesh_tabular.writing import write_csv, write_parquet
from exchange_svc.enforcement.filters import Passing
from exchange_svc.enforcement.rows import TokenKeys, mask
from exchange_svc.grant.pull import Readable

Sign = Callable[[Mapping[str, Any]], str]
PAGE_ROWS = 1 << 16
_MEDIA = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
_OLD = (1980, 1, 1, 0, 0, 0)  # a zip needs a time of each file; the manifest has the true one


def make(
    objects: ObjectStore, folder: Path, key: str, readable: Readable, form: str, told: Mapping[str, Any], *, tokens: TokenKeys, sign: Sign
) -> ObjectRef:
    """Make a package and put it under a key: `rows.<form>`, `manifest.json`, and `manifest.jws` whose payload is the manifest's bytes.

    Memory: some pages of rows, whatever the table's size; disk: twice the package. told: what the manifest says beside the files.
    Raises: NotFound (404) when the table's version is kept no longer; KeyError, ValueError while it is brought into a new form.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="package-") as name:
        rows = Path(name) / f"rows.{form}"
        schema = pl.Schema({item.code: polars_type(item) for item in readable.granted})
        frames = _frames(objects, readable, schema, tokens)
        count = write_parquet(frames, rows, schema=schema) if form == "parquet" else write_csv(frames, rows)
        entry = {
            "name": rows.name,
            "sha256": sha256_of(rows),
            "byte_count": rows.stat().st_size,
            "row_count": count,
            "media_type": _MEDIA[form],
        }
        manifest = {**told, "files": [entry]}
        sealed = Path(name) / "package.zip"
        with zipfile.ZipFile(sealed, "w", zipfile.ZIP_DEFLATED if form == "csv" else zipfile.ZIP_STORED) as archive:
            archive.write(rows, rows.name)
            archive.writestr(zipfile.ZipInfo("manifest.json", _OLD), orjson.dumps(manifest))
            archive.writestr(zipfile.ZipInfo("manifest.jws", _OLD), sign(manifest))
        objects.delete(key)  # an attempt that ended before it was noted
        return objects.put_file(key, sealed, row_count=count)


def _frames(objects: ObjectStore, readable: Readable, schema: pl.Schema, tokens: TokenKeys) -> Iterator[pl.DataFrame]:
    """Yield the rows in their fixed order, filtered and masked; one empty frame at least."""
    lookup = Lookup(objects, max_bytes=0)
    view, after, any_yet = readable.view, None, False
    while readable.table_key is not None and view is not None:
        where = Passing(view.where) if view.where else None
        frame = lookup.page(readable.table_key, readable.version, after=after, limit=PAGE_ROWS, columns=readable.items, where=where)
        if frame.height or not any_yet:
            yield mask(frame.select(pl.col(name).cast(kind) for name, kind in schema.items()), view, tokens)
            any_yet = True
        if frame.height < PAGE_ROWS:
            return
        after = (frame[SEQUENCE][-1], frame[ROW][-1])
    if not any_yet:
        yield pl.DataFrame(schema=schema)
