"""The bad rows of a batch, page by page."""

import asyncio

import polars as pl

from dxmesh_schemas.exchange import ObjectRef
from dxmesh_tabular.items import REFUSED_SCHEMA
from dxmesh_tabular.store import ObjectStore
from exchange_svc import sealed_cursor
from exchange_svc.batch.store import Batch
from exchange_svc.formats import Format

FORMATS = (Format.JSON, Format.NDJSON, Format.CSV)


async def page(objects: ObjectStore, key: bytes, batch: Batch, *, limit: int, cursor: str | None) -> tuple[pl.DataFrame, str | None]:
    """Return the lines behind a cursor, at most `limit`, and the next cursor.

    Frame: n_lines × (row, item, rule, reason, value, record). A cursor keeps to the object it began in, so an assessment that
    comes in between changes no page. Raises: CursorInvalid (422).
    """
    scope = f"quarantine:{batch.batch_id}"
    refs = {ref.key: ref for ref in (_ref(batch.quarantine), _ref(batch.refused)) if ref is not None}
    ref, offset = batch.faults_ref, 0
    if cursor is not None:
        object_key, offset = sealed_cursor.unseal(key, scope, cursor)
        ref = refs[object_key]
    if ref is None:
        return pl.DataFrame(schema=REFUSED_SCHEMA), None
    frame = await asyncio.to_thread(_read, objects, ref.key, offset, limit + 1)
    if frame.height <= limit:
        return frame, None
    return frame.head(limit), sealed_cursor.seal(key, scope, ref.key, offset + limit)


def _ref(document: dict[str, object] | None) -> ObjectRef | None:
    return None if document is None else ObjectRef.model_validate(document)


def _read(objects: ObjectStore, key: str, offset: int, limit: int) -> pl.DataFrame:
    with objects.local_copy(key) as path:
        return pl.scan_parquet(path).select(REFUSED_SCHEMA.names()).slice(offset, limit).collect()
