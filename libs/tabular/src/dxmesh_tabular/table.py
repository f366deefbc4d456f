"""A resource's Delta Lake table: accepted batches folded in, each exactly once, and rows read back at any version."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from uuid import UUID

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.problem import Conflict, Invalid, NotFound
from dxmesh_tabular import table_files as files
from dxmesh_tabular.items import ROW, SEQUENCE, polars_type
from dxmesh_tabular.store import ObjectStore

_CONFIGURATION: dict[str, str | None] = {"delta.checkpointInterval": "50", "delta.enableExpiredLogCleanup": "false"}


class TableDamaged(Exception):
    """A table is not there, lacks what it is known to hold, or a file of it cannot be read; rebuild it from the accepted batches."""


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


def table_key(resource_id: UUID, rebuilt: int = 0) -> str:
    """Return the folder of a resource's table, below the store's root; a table that is rebuilt gets a folder of its own."""
    return f"tables/{resource_id}" + (f".{rebuilt}" if rebuilt else "")


def fold(
    store: ObjectStore,
    resource_id: UUID,
    items: Sequence[DataItem],
    key: Sequence[str],
    batches: Sequence[FoldInput],
    *,
    folder: str | None = None,
    held: int = 0,
) -> TableState:
    """Bring a resource's table up to the last of the batches, made when it is not there, and return its new state.

    `batches` follow each other without a gap, or begin with a snapshot; those the table holds already are passed over, so repeating a
    fold after a crash changes nothing: each commit carries the last sequence it holds as a Delta application transaction.
    Consecutive batches of one kind are one commit; what a later snapshot replaces is not written at all. upsert and delete compare the
    business key, null equal to null; of rows with one key the last wins. append and snapshot take rows as they come, also two with
    one key. Columns of new items are added, those of items that left stay until a snapshot; a changed type needs a snapshot.
    `folder`: where the table is, when not in `table_key`; `held`: the sequence it is known to hold.
    Cost and memory: append and snapshot write their rows, FILE_ROWS at a time; upsert and delete hold the keys of the batches, read
    the key of the files whose bounds leave room for one, and write those that hold one again, FILE_ROWS at a time.
    Raises: TableDamaged; Conflict (409) when another fold came first (fold again), batches are missing in between, or a type changed;
    Invalid (422) for upsert or delete without a business key; NotFound (404) for a batch's rows.
    """
    folder, app = folder or table_key(resource_id), str(resource_id)
    table = _open(store, folder)
    has = 0 if table is None else table.transaction_version(app) or 0
    if has < held:
        raise TableDamaged(f"the table {folder} holds the batches up to {has}, and held those up to {held} before")
    pending = _pending(batches, has)
    if any(batch.kind in (BatchKind.UPSERT, BatchKind.DELETE) for batch in pending) and not key:
        raise Invalid("the resource has no business key, so rows cannot be replaced or deleted by it")
    try:
        table = table or _create(store, folder, items)
        for kind, group in groupby(pending, lambda batch: batch.kind):
            run = list(group)
            _apply(store, folder, table, kind, run, items, key, _commit(app, run[-1].sequence))
    except CommitFailedError as error:
        raise Conflict("the table was changed by another fold at the same time; fold again") from error
    return TableState(table.version(), table.transaction_version(app) or 0, table.count())


def state(store: ObjectStore, resource_id: UUID, *, folder: str | None = None) -> TableState | None:
    """Return the state of a resource's table from its log alone, or None when it has none. Raises: TableDamaged."""
    table = _open(store, folder or table_key(resource_id))
    return None if table is None else TableState(table.version(), table.transaction_version(str(resource_id)) or 0, table.count())


def scan(store: ObjectStore, key: str, *, version: int | None = None) -> pl.LazyFrame:
    """Return the rows of a table, at a version or the newest: `sequence_`, `row_` and the items.

    `sequence_` and `row_` name a row; sort by both for a fixed order. Raises: NotFound (404) if there is no such table or version.
    """
    return pl.scan_delta(at_version(store, key, version))


def _pending(batches: Sequence[FoldInput], held: int) -> list[FoldInput]:
    sequences = [batch.sequence for batch in batches]
    pending = [batch for batch in batches if batch.sequence > held]
    last_snapshot = max((place for place, batch in enumerate(pending) if batch.kind is BatchKind.SNAPSHOT), default=None)
    begun = [batch for batch in pending[:1] if batch.kind is not BatchKind.SNAPSHOT]
    if sequences != list(range(sequences[0], sequences[0] + len(sequences)) if sequences else []) or any(
        batch.sequence != held + 1 for batch in begun
    ):
        raise Conflict(f"the table holds the batches up to {held}; {sequences} do not follow without a gap")
    return pending[last_snapshot or 0 :]


def _apply(
    store: ObjectStore,
    folder: str,
    table: DeltaTable,
    kind: BatchKind,
    run: Sequence[FoldInput],
    items: Sequence[DataItem],
    key: Sequence[str],
    commit: CommitProperties,
) -> None:
    with ExitStack() as open_files:
        sent = [(batch.sequence, open_files.enter_context(store.local_copy(batch.rows_key))) for batch in run]
        if kind is BatchKind.SNAPSHOT:
            schema = _item_schema(items)
            adds = files.write(store, folder, _placed_frames(sent, schema))
            files.exchange(table, adds, (), commit, schema=_delta_schema(schema))
            return
        schema = _widened(table, items)
        if kind is BatchKind.APPEND:
            files.exchange(table, files.write(store, folder, _placed_frames(sent, schema)), (), commit)
            return
        kept = _last_of_each_key(sent, schema, key)
        held = files.list_files(table)
        try:
            written, touched = files.without_keys(store, folder, held, schema, kept.select(key))
        except (OSError, pl.exceptions.ComputeError) as error:
            raise TableDamaged(f"a file of the table {folder} cannot be read: {error}") from error
        new = files.write(store, folder, _chosen_frames(sent, schema, kept)) if kind is BatchKind.UPSERT else []
        files.exchange(table, [*written, *new], touched, commit)


def _last_of_each_key(sent: Sequence[tuple[int, Path]], schema: pl.Schema, key: Sequence[str]) -> pl.DataFrame:
    """Return `sequence_`, `row_` and the key of the last row of each key."""
    keys = [
        pl.scan_parquet(path).select(
            pl.lit(sequence, pl.Int64).alias(SEQUENCE), pl.col(ROW).cast(pl.Int64), *(pl.col(code).cast(schema[code]) for code in key)
        )
        for sequence, path in sent
    ]
    return pl.concat(keys).collect().unique(subset=list(key), keep="last", maintain_order=True)


def _open(store: ObjectStore, folder: str) -> DeltaTable | None:
    try:
        return DeltaTable(store.uri(folder), storage_options=store.storage_options)
    except TableNotFoundError:
        return None
    except DeltaError as error:
        raise TableDamaged(f"the log of the table {folder} cannot be read: {error}") from error


def _create(store: ObjectStore, folder: str, items: Sequence[DataItem]) -> DeltaTable:
    schema = _delta_schema(_item_schema(items))
    return DeltaTable.create(store.uri(folder), schema, mode="ignore", configuration=_CONFIGURATION, storage_options=store.storage_options)


def at_version(store: ObjectStore, folder: str, version: int | None) -> DeltaTable:
    """Open a table at a version, or the newest. Raises: NotFound (404) if there is no such table or version."""
    try:
        return DeltaTable(store.uri(folder), version=version, storage_options=store.storage_options)
    except TableNotFoundError as error:
        raise NotFound(f"there is no table {folder}") from error
    except DeltaError as error:
        if version is not None and "version" in str(error).lower():
            raise NotFound(f"the table {folder} has no version {version}") from error
        raise


def _commit(app: str, sequence: int) -> CommitProperties:
    """Record the sequence with the commit, and let any commit that came in between win: a retry could write the same batch twice."""
    return CommitProperties(app_transactions=[Transaction(app, sequence)], max_commit_retries=0)


def _item_schema(items: Sequence[DataItem]) -> pl.Schema:
    return pl.Schema({SEQUENCE: pl.Int64(), ROW: pl.Int64(), **{item.code: polars_type(item) for item in items}})


def _widened(table: DeltaTable, items: Sequence[DataItem]) -> pl.Schema:
    """Return the table's columns, those of new items added. Raises: Conflict (409) naming the items whose type changed."""
    held = files.columns(table)
    wanted = _item_schema(items)
    changed = [name for name, kind in wanted.items() if name in held and held[name] != kind]
    if changed:
        raise Conflict(f"the type of {', '.join(changed)} is no longer that of the table; send the whole resource as a snapshot")
    new = pl.Schema({name: kind for name, kind in wanted.items() if name not in held})
    if new:
        table.alter.add_columns(_delta_schema(new).fields, commit_properties=CommitProperties(max_commit_retries=0))
        table.update_incremental()
    return pl.Schema({**held, **new})


def _placed_frames(sent: Sequence[tuple[int, Path]], schema: pl.Schema) -> Iterator[pl.DataFrame]:
    return (_placed(frame, sequence, schema) for sequence, path in sent for frame in _frames(path))


def _chosen_frames(sent: Sequence[tuple[int, Path]], schema: pl.Schema, kept: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for sequence, path in sent:
        last = kept.filter(pl.col(SEQUENCE) == sequence)[ROW]
        for frame in _frames(path):
            yield _placed(frame.filter(pl.col(ROW).cast(pl.Int64).is_in(last.implode())), sequence, schema)


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    rows = pl.scan_parquet(path, glob=False)
    height = rows.select(pl.len()).collect().item()
    return (rows.slice(start, files.FILE_ROWS).collect() for start in range(0, height, files.FILE_ROWS))


def _placed(frame: pl.DataFrame, sequence: int, schema: pl.Schema) -> pl.DataFrame:
    """Return the frame in the table's columns, its rows marked with the batch's sequence; columns it lacks are null."""
    held = frame.columns
    return frame.with_columns(pl.lit(sequence, pl.Int64).alias(SEQUENCE)).select(
        (pl.col(name) if name in held or name == SEQUENCE else pl.lit(None).alias(name)).cast(kind) for name, kind in schema.items()
    )


def _delta_schema(schema: pl.Schema) -> DeltaSchema:
    return DeltaSchema.from_arrow(pl.DataFrame(schema=schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema)
