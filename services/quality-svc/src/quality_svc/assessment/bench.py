"""Where batches are checked: the object store, a folder for files under way, and the sets of known values kept between batches."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import polars as pl
import structlog

from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind, BatchReceived, ObjectRef
from dxmesh_schemas.problem import Conflict, NotFound
from dxmesh_tabular import table
from dxmesh_tabular.store import ObjectStore, sha256_of
from quality_svc.assessment.checking import Checked, Plan, Work, check
from quality_svc.assessment.columns import Size, size
from quality_svc.assessment.errors import BatchDamaged, TableMissing
from quality_svc.rule.domain import Rule, rules_of
from quality_svc.rule.known import KnownValues

log = structlog.get_logger(__name__)
_DIGEST_CHARACTERS = 16
_RULE_BOOKS = 1000


@dataclass(frozen=True)
class RuleBook:
    """A resource version and its rules for a kind of batch."""

    resource: ResourceSnapshot
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Verdict:
    """A checked batch, with its objects in the store."""

    checked: Checked
    accepted: ObjectRef
    quarantine: ObjectRef | None


class KnownCache:
    """Sets of known values, up to so many bytes; the ones longest unused go first. Safe to share between threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[object, KnownValues] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, key: object) -> KnownValues | None:
        """Return the set kept under a key."""
        with self._lock:
            known = self._held.get(key)
            if known is not None:
                self._held.move_to_end(key)
            return known

    def keep(self, key: object, known: KnownValues) -> KnownValues:
        """Keep a set, and return it; one larger than the whole limit is not kept."""
        with self._lock:
            if key not in self._held and known.byte_count <= self._limit_bytes:
                self._held[key] = known
                self._bytes += known.byte_count
            while self._bytes > self._limit_bytes:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= dropped.byte_count
        return known


class Bench:
    """Checks batches; `check` and `table_values` block, so they are called in a thread."""

    def __init__(self, objects: ObjectStore, folder: Path, known_values_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._objects = objects
        self._folder = folder
        self.known = KnownCache(known_values_bytes)
        self._rules: OrderedDict[tuple[UUID, int, BatchKind], RuleBook] = OrderedDict()

    def find_rules(self, resource_id: UUID, version: int, kind: BatchKind) -> RuleBook | None:
        """Return the rules of a resource version for a kind of batch, if they were used lately."""
        return self._rules.get((resource_id, version, kind))

    def keep_rules(self, resource: ResourceSnapshot, kind: BatchKind) -> RuleBook:
        """Derive the rules of a resource version for a kind of batch, and keep them: a version never changes."""
        book = RuleBook(resource, rules_of(resource, kind))
        self._rules[resource.resource_id, resource.version, kind] = book
        if len(self._rules) > _RULE_BOOKS:
            self._rules.popitem(last=False)
        return book

    def table_values(self, table_key: str, version: int, item: str, kind: pl.DataType) -> KnownValues | None:
        """Return the values of an item in a version of a Delta table, as values of a type; None when the table has no such item.

        Raises: TableMissing.
        """
        key = (table_key, version, item, kind)
        known = self.known.find(key)
        if known is not None:
            return known
        try:
            frame = table.scan(self._objects, table_key, version=version)
        except NotFound as missing:
            raise TableMissing(f"version {version} of the table {table_key} was told of and is not in the store") from missing
        if item not in frame.collect_schema():
            return None
        values = frame.select(pl.col(item).cast(kind, strict=False).unique()).collect().to_series()
        log.info("bench.table_values_read", table=table_key, version=version, item=item, values=values.len())
        return self.known.keep(key, KnownValues.of(values))

    def check(self, plan: Plan, batches: Sequence[BatchReceived]) -> list[Verdict]:
        """Check batches of one resource version and kind, and put what came out into the store.

        Keys follow from the batch, so doing it again does no harm. Raises: BatchDamaged.
        """
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder, prefix="check-")))
            works = [self._work(stack, batch) for batch in batches]
            by_id = {batch.batch_id: batch for batch in batches}
            return [self._verdict(by_id[checked.batch_id], checked) for checked in check(plan, works, folder)]

    def _work(self, stack: ExitStack, batch: BatchReceived) -> Work:
        if batch.rows.row_count + batch.refused_row_count != batch.received_count:
            raise BatchDamaged(
                f"batch {batch.batch_id}: {batch.rows.row_count} rows and {batch.refused_row_count} refused are not {batch.received_count}"
            )
        rows, found = self._local(stack, batch.rows)
        refused = None if batch.refused is None else self._local(stack, batch.refused)[0]
        return Work(
            batch_id=batch.batch_id,
            received_count=batch.received_count,
            rows=rows,
            rows_count=batch.rows.row_count,
            refused=refused,
            refused_line_count=0 if batch.refused is None else batch.refused.row_count,
            chunk_rows=found.chunk_rows,
        )

    def _local(self, stack: ExitStack, ref: ObjectRef) -> tuple[Path, Size]:
        """Return a readable copy of an object and its size, which is what its reference says. Raises BatchDamaged."""
        try:
            path = stack.enter_context(self._objects.local_copy(ref.key))
        except NotFound as missing:
            raise BatchDamaged(f"the object {ref.key} is not in the store") from missing
        digest = sha256_of(path)
        if digest != ref.sha256:
            raise BatchDamaged(f"the object {ref.key} has the digest {digest}; its batch was received with {ref.sha256}")
        found = size(path)
        if found.row_count != ref.row_count:
            raise BatchDamaged(f"the object {ref.key} has {found.row_count} rows; its batch was received with {ref.row_count}")
        return path, found

    def _verdict(self, batch: BatchReceived, checked: Checked) -> Verdict:
        folder = f"batches/{batch.resource_id}/{batch.batch_id}"
        accepted, quarantine = batch.rows, batch.refused
        if checked.accepted is not None:
            accepted = self._put(f"{folder}/accepted", checked.accepted, checked.accepted_count)
        if checked.quarantine is not None:
            quarantine = self._put(f"{folder}/quarantine", checked.quarantine, checked.quarantine_line_count)
        return Verdict(checked, accepted, quarantine)

    def _put(self, name: str, path: Path, rows: int) -> ObjectRef:
        """Put a file where its batch's files lie.

        An attempt that was cut short may have left another content there, when a referenced table moved on in between. Objects are
        never replaced, so the new content then gets a name of its own; nothing refers to the old one.
        """
        try:
            return self._objects.put_file(f"{name}.parquet", path, row_count=rows)
        except Conflict:
            return self._objects.put_file(f"{name}-{sha256_of(path)[:_DIGEST_CHARACTERS]}.parquet", path, row_count=rows)
