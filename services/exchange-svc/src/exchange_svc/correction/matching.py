"""Which of the doubted records a batch holds, by the business key: it names rows in the batches they came with as in this one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import polars as pl

from dxmesh_schemas.exchange import BatchKind, ObjectRef
from dxmesh_schemas.problem import NotFound
from dxmesh_tabular.items import ROW
from dxmesh_tabular.store import ObjectStore
from exchange_svc.batch.errors import RowsMissing
from exchange_svc.correction.domain import Record
from exchange_svc.enforcement.filters import plain

_PLACE = "_place"  # no item's code begins so


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many doubted records a batch replaces or deletes, how many it leaves as they are, and how many rows it has beside them."""

    covered: int
    uncovered: int
    other_rows: int


def coverage(
    objects: ObjectStore,
    key: Sequence[str],
    records: Sequence[Record],
    batches: Mapping[UUID, ObjectRef],
    rows: ObjectRef,
    kind: BatchKind,
) -> Coverage | None:
    """Return how far a batch is about these records; None where no key names rows.

    A snapshot is about every record: what it has not is deleted. batches: the accepted rows of the batches that records name.
    Raises: RowsMissing (503).
    """
    try:
        with objects.local_copy(rows.key) as path:
            source = pl.scan_parquet(path)
            schema = source.collect_schema()
            if not key or not set(key) <= set(schema):
                return None
            kinds = pl.Schema({_PLACE: pl.Int64()} | {code: schema[code] for code in key})
            doubted = pl.concat([pl.DataFrame(schema=kinds), *_doubted(objects, kinds, records, batches)])
            held = source.select(key).join(doubted.lazy().select(key).unique(), on=key, how="semi", nulls_equal=True).collect()
            found = doubted.join(held.unique(), on=key, how="semi", nulls_equal=True)[_PLACE].n_unique()
    except NotFound as missing:
        raise RowsMissing(f"{missing.detail}: restore the object") from missing
    covered = len(records) if kind is BatchKind.SNAPSHOT else found
    return Coverage(covered, len(records) - covered, rows.row_count - held.height)


def _doubted(
    objects: ObjectStore, kinds: pl.Schema, records: Sequence[Record], batches: Mapping[UUID, ObjectRef]
) -> Iterator[pl.DataFrame]:
    """Yield the keys of records: as they were told, or of the row where it was accepted."""
    named: dict[UUID, dict[int, int]] = {}
    for place, record in enumerate(records):
        if record.key is not None:
            try:
                values = {code: plain(value, kinds[code]) for code, value in record.key.items()}
            except ValueError:  # a value of another type names no row
                continue
            yield pl.DataFrame([{_PLACE: place, **values}], kinds)
        elif record.batch_id is not None and record.batch_id in batches and record.row is not None:
            named.setdefault(record.batch_id, {})[place] = record.row
    for batch_id, places in named.items():
        with objects.local_copy(batches[batch_id].key) as path:
            source = pl.scan_parquet(path)
            if not set(kinds) - {_PLACE} <= set(source.collect_schema()):
                continue
            found = source.filter(pl.col(ROW).is_in(list(places.values()))).select(ROW, *list(kinds)[1:]).collect()
        asked = pl.DataFrame({_PLACE: list(places), ROW: list(places.values())}, {_PLACE: pl.Int64(), ROW: found.schema[ROW]})
        yield asked.join(found, on=ROW).select(list(kinds)).cast(kinds, strict=False)
