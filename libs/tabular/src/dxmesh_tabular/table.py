"""A resource's Delta Lake table: accepted batches folded in, each exactly once, and rows read back at any version in a fixed order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pyarrow as pa
import pyarrow.parquet
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.problem import Conflict, Invalid, NotFound
from dxmesh_tabular.items import ROW, SEQUENCE, polars_type
from dxmesh_tabular.store import ObjectStore

COMPACT_FILES = 100
"""Files a table may have before a fold merges the small ones."""
_STEP_ROWS = 1 << 17
_GONE = "gone_"  # marks, in the source of a merge, the keys whose rows leave the table
_WRITER = WriterProperties(compression="ZSTD", compression_level=1)
_CONFIGURATION: dict[str, str | None] = {"delta.checkpointInterval": "50"}


@dataclass(frozen=True, slots=True)
class FoldInput:
    """An accepted batch: its sequence in the resource, its kind, and the key of its accepted rows in the store."""

    sequence: int
    kind: BatchKind
    rows_key: str


@dataclass(frozen=True, slots=True)
class TableState:
    """A table at a version: it holds every batch up to `sequence` (0: none yet)."""

    version: int
    sequence: int
    row_count: int


def table_key(resource_id: UUID) -> str:
    """Return the folder of a resource's table, below the store's root."""
    return f"tables/{resource_id}"


def fold(store: ObjectStore, resource_id: UUID, items: Sequence[DataItem], key: Sequence[str], batches: Sequence[FoldInput]) -> TableState:
    """Bring a resource's table up to the last of the batches, made when it is not there, and return its new state.

    `batches` follow each other without a gap; those the table holds already are passed over, so repeating a fold after a crash changes
    nothing: each commit carries the last sequence it holds as a Delta application transaction. Consecutive batches of one kind are one
    commit; what a later snapshot replaces is not written at all. upsert and delete compare the business key, null equal to null; of
    rows with one key the last wins. Columns of new items are added; a changed type needs a snapshot. Memory: for append and snapshot
    some row groups, for upsert and delete the rows of the batches.
    Raises: Conflict (409) when another fold came first (fold again), batches are missing in between, or a type changed;
    Invalid (422) for upsert or delete without a business key; NotFound (404) for a batch's rows.
    """
    table = _open_or_create(store, resource_id, items)
    app = str(resource_id)
    pending = _pending(batches, table.transaction_version(app) or 0)
    if any(batch.kind in (BatchKind.UPSERT, BatchKind.DELETE) for batch in pending) and not key:
        raise Invalid("the resource has no business key, so rows cannot be replaced or deleted by it")
    try:
        for kind, group in groupby(pending, lambda batch: batch.kind):
            run = list(group)
            _apply(store, table, kind, run, items, key, _commit(app, run[-1].sequence))
        if pending and len(table.file_uris()) > COMPACT_FILES:
            table.optimize.compact(writer_properties=_WRITER, commit_properties=CommitProperties(max_commit_retries=0))
    except CommitFailedError as error:
        raise Conflict("the table was changed by another fold at the same time; fold again") from error
    return _state(table, app)


def state(store: ObjectStore, resource_id: UUID) -> TableState | None:
    """Return the state of a resource's table from its log alone, or None when it has none."""
    try:
        table = DeltaTable(store.uri(table_key(resource_id)), storage_options=store.storage_options)
    except TableNotFoundError:
        return None
    return _state(table, str(resource_id))


def scan(store: ObjectStore, key: str, *, version: int | None = None) -> pl.LazyFrame:
    """Return the rows of a table, at a version or the newest: `sequence_`, `row_` and the items.

    `sequence_` and `row_` name a row; sort by both for a fixed order. Raises: NotFound (404) if there is no such table or version.
    """
    try:
        table = DeltaTable(store.uri(key), version=version, storage_options=store.storage_options)
    except TableNotFoundError as error:
        raise NotFound(f"there is no table {key}") from error
    except DeltaError as error:
        if version is not None and "version" in str(error).lower():
            raise NotFound(f"the table {key} has no version {version}") from error
        raise
    return pl.scan_delta(table)


def page(
    store: ObjectStore,
    key: str,
    *,
    version: int,
    after: tuple[int, int] | None,
    limit: int,
    columns: Sequence[str],
    where: Callable[[pl.Schema], pl.Expr] | None = None,
) -> pl.DataFrame:
    """Return the next rows of a table's version in their fixed order: at most `limit` behind `after` = (sequence_, row_).

    The frame has `sequence_`, `row_` and the named columns; columns the version lacks are null text. where: makes the mask of the rows
    wanted from the version's columns. Raises: NotFound (404).
    """
    rows = scan(store, key, version=version)
    if after is not None:
        sequence, row = after
        rows = rows.filter((pl.col(SEQUENCE) > sequence) | ((pl.col(SEQUENCE) == sequence) & (pl.col(ROW) > row)))
    held = rows.collect_schema()
    if where is not None:
        rows = rows.filter(where(held))
    chosen = [pl.col(name) if name in held else pl.lit(None, pl.String).alias(name) for name in columns]
    return rows.select(SEQUENCE, ROW, *chosen).sort(SEQUENCE, ROW).head(limit).collect(engine="streaming")


def _pending(batches: Sequence[FoldInput], held: int) -> list[FoldInput]:
    sequences = [batch.sequence for batch in batches]
    pending = [batch for batch in batches if batch.sequence > held]
    if sequences != list(range(sequences[0], sequences[0] + len(sequences)) if sequences else []) or (
        pending and pending[0].sequence != held + 1
    ):
        raise Conflict(f"the table holds the batches up to {held}; {sequences} do not follow without a gap")
    last_snapshot = max((place for place, batch in enumerate(pending) if batch.kind is BatchKind.SNAPSHOT), default=0)
    return pending[last_snapshot:]


def _apply(
    store: ObjectStore,
    table: DeltaTable,
    kind: BatchKind,
    run: Sequence[FoldInput],
    items: Sequence[DataItem],
    key: Sequence[str],
    commit: CommitProperties,
) -> None:
    with ExitStack() as open_files:
        files = [(batch.sequence, open_files.enter_context(store.local_copy(batch.rows_key))) for batch in run]
        if kind is BatchKind.SNAPSHOT:
            schema = _item_schema(items)
            rows = _reader(schema, (_placed(frame, sequence, schema) for sequence, path in files for frame in _frames(path)))
            write_deltalake(table, rows, mode="overwrite", schema_mode="overwrite", writer_properties=_WRITER, commit_properties=commit)
        elif kind is BatchKind.APPEND:
            schema = _merged_schema(table, items)
            rows = _reader(schema, (_placed(frame, sequence, schema) for sequence, path in files for frame in _frames(path)))
            write_deltalake(table, rows, mode="append", schema_mode="merge", writer_properties=_WRITER, commit_properties=commit)
        else:
            _merge(table, files, _merged_schema(table, items), key, commit, insert=kind is BatchKind.UPSERT)


def _merge(
    table: DeltaTable, files: Sequence[tuple[int, Path]], schema: pl.Schema, key: Sequence[str], commit: CommitProperties, *, insert: bool
) -> None:
    """Take the rows of the keys out and, for an upsert, put the new ones in, as one commit.

    Out and in rather than an update: when the table holds a key twice, both rows go and one comes.
    """
    kept = pl.concat(
        [
            pl.scan_parquet(path).select(pl.lit(sequence, pl.Int64).alias(SEQUENCE), pl.col(ROW).cast(pl.Int64), *key)
            for sequence, path in files
        ]
    ).collect()
    kept = kept.unique(subset=list(key), keep="last", maintain_order=True)
    wide = pl.Schema({**schema, _GONE: pl.Boolean()})

    def source() -> Iterator[pl.DataFrame]:
        for part in kept.select(key).iter_slices(_STEP_ROWS):
            yield _placed(part.with_columns(pl.lit(value=True).alias(_GONE)), None, wide)
        for sequence, path in files if insert else ():
            last = kept.filter(pl.col(SEQUENCE) == sequence)[ROW]
            for frame in _frames(path):
                chosen = frame.filter(pl.col(ROW).cast(pl.Int64).is_in(last.implode()))
                yield _placed(chosen.with_columns(pl.lit(value=False).alias(_GONE)), sequence, wide)

    same_key = " AND ".join(f'(t."{code}" IS NOT DISTINCT FROM s."{code}")' for code in key)
    merge = table.merge(
        _reader(wide, source()),
        predicate=f's."{_GONE}" AND {same_key}',
        source_alias="s",
        target_alias="t",
        writer_properties=_WRITER,
        commit_properties=commit,
        merge_schema=True,
    ).when_matched_delete()
    if insert:
        merge = merge.when_not_matched_insert({f'"{name}"': f's."{name}"' for name in schema}, predicate=f'NOT s."{_GONE}"')
    before = table.version()
    merge.execute()
    if table.version() == before:  # nothing to change, so nothing was committed: the sequence must advance all the same
        nothing = _reader(schema, iter(()))
        write_deltalake(table, nothing, mode="append", schema_mode="merge", writer_properties=_WRITER, commit_properties=commit)


def _open_or_create(store: ObjectStore, resource_id: UUID, items: Sequence[DataItem]) -> DeltaTable:
    uri, options = store.uri(table_key(resource_id)), store.storage_options
    try:
        return DeltaTable(uri, storage_options=options)
    except TableNotFoundError:
        schema = DeltaSchema.from_arrow(_arrow_schema(_item_schema(items)))
        return DeltaTable.create(uri, schema, mode="ignore", configuration=_CONFIGURATION, storage_options=options)


def _state(table: DeltaTable, app: str) -> TableState:
    return TableState(table.version(), table.transaction_version(app) or 0, table.count())


def _commit(app: str, sequence: int) -> CommitProperties:
    """Record the sequence with the commit, and let any commit that came in between win: a retry could write the same batch twice."""
    return CommitProperties(app_transactions=[Transaction(app, sequence)], max_commit_retries=0)


def _item_schema(items: Sequence[DataItem]) -> pl.Schema:
    return pl.Schema({SEQUENCE: pl.Int64(), ROW: pl.Int64(), **{item.code: polars_type(item) for item in items}})


def _merged_schema(table: DeltaTable, items: Sequence[DataItem]) -> pl.Schema:
    """Return the table's columns and then those of new items. Raises: Conflict (409) naming the items whose type changed."""
    held: Any = pl.Schema(table.schema().to_arrow())
    wanted = _item_schema(items)
    changed = [name for name, kind in wanted.items() if name in held and held[name] != kind]
    if changed:
        raise Conflict(f"the type of {', '.join(changed)} is no longer that of the table; send the whole resource as a snapshot")
    return pl.Schema({**held, **wanted})


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_STEP_ROWS):
            frame: Any = pl.from_arrow(pa.Table.from_batches([batch]))
            yield frame


def _placed(frame: pl.DataFrame, sequence: int | None, schema: pl.Schema) -> pl.DataFrame:
    """Return the frame in the table's columns, its rows marked with the batch's sequence; columns it lacks are null."""
    held = frame.columns
    return frame.with_columns(pl.lit(sequence, pl.Int64).alias(SEQUENCE)).select(
        (pl.col(name) if name in held or name == SEQUENCE else pl.lit(None).alias(name)).cast(kind) for name, kind in schema.items()
    )


def _reader(schema: pl.Schema, frames: Iterator[pl.DataFrame]) -> Any:
    """Return the frames as a stream of record batches, made as they are asked for."""
    wanted = _arrow_schema(schema)
    batches = (batch for frame in frames for batch in frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(wanted).to_batches())
    return pa.RecordBatchReader.from_batches(wanted, batches)


def _arrow_schema(schema: pl.Schema) -> Any:
    return pl.DataFrame(schema=schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
