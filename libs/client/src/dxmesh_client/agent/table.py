"""A table of the department's database: rows are read in their order, laid down in a file, sent, and only then counted as read."""

import asyncio
import errno
import hashlib
import importlib
import json
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid5

import cramjam

from dxmesh_client.agent.config import ConfigInvalid, Job, TableSource
from dxmesh_client.agent.place import Mark, Pending, Place, PlaceFile, mark_text, overdue
from dxmesh_client.agent.sending import Sender, is_fault_of_file, log
from dxmesh_client.errors import ClientError, ProblemAnswer, Unreachable
from dxmesh_client.upload import keep, settle

_BATCH_IDS = UUID("5b0c1f7a-6f0e-5a55-9b57-6d6573680004")
_PIECE_BYTES = 1 << 20
_MARK = "dxmesh_mark_"
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # where rows are laid down
_CONNECT_SECONDS, _ANSWER_SECONDS = 10, 900  # with a database that hangs a job would hang for ever
_SNAPSHOT_ROWS = 10_000  # read from the database at a time
_ALIVE = (None, False, 0, "", "0", "f", "false", "n", "no", "否")
Found = TypeVar("Found")


class Database:
    """The department's database, through SQLAlchemy; PostgreSQL by asyncpg, SQLite as it is, others by the driver their address names."""

    def __init__(self, address: str) -> None:
        try:
            self.sa: Any = importlib.import_module("sqlalchemy")
        except ImportError as missing:
            raise ClientError("reading a table needs SQLAlchemy: install dxmesh-client[agent]") from missing
        try:
            url = self.sa.engine.make_url(address)
        except self.sa.exc.ArgumentError as wrong:
            raise ConfigInvalid("table.url is no address like postgresql://user@host/database or sqlite:///file") from wrong
        if url.get_backend_name() == "postgresql" and url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+asyncpg")
        self._url = url

    def run(self, work: Callable[[Any], Found]) -> Found:
        """Do something on a connection, in one transaction that sees one moment. Raises: Unreachable, ConfigInvalid."""
        sa = self.sa
        try:
            if self._url.drivername == "postgresql+asyncpg":
                return self._run_async(work)
            engine = sa.create_engine(self._url)
            try:
                with engine.connect() as connection:
                    return work(connection)
            finally:
                engine.dispose()
        except sa.exc.NoSuchTableError as wrong:
            raise ConfigInvalid(f"the database has no table or view {wrong}") from wrong
        except sa.exc.NoSuchModuleError as wrong:
            raise ConfigInvalid(f"no driver is installed for this database: {wrong}") from wrong
        except (sa.exc.DBAPIError, OSError) as wrong:
            if getattr(wrong, "errno", None) in _OF_THE_DISK:
                raise
            told = (str(wrong) or repr(wrong)).splitlines()[0]
            raise Unreachable(f"the database {self._url.render_as_string(hide_password=True)}: {told}") from wrong

    def _run_async(self, work: Callable[[Any], Found]) -> Found:
        aio: Any = importlib.import_module("sqlalchemy.ext.asyncio")

        async def run() -> Found:
            bounds = {"timeout": _CONNECT_SECONDS, "command_timeout": _ANSWER_SECONDS}
            engine = aio.create_async_engine(self._url, isolation_level="REPEATABLE READ", connect_args=bounds)
            try:
                async with engine.connect() as connection:
                    found: Found = await connection.run_sync(work)
                    return found
            finally:
                await engine.dispose()

        return asyncio.run(run())


def described(database: Database, source: TableSource, connection: Any) -> Any:
    """Return a table as the database describes it. Raises: ConfigInvalid naming columns it lacks."""
    sa = database.sa
    schema, _, name = source.table.rpartition(".")
    table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
    named = {*source.order, *source.columns.values(), *([source.deleted] if source.deleted else [])}
    if missing := sorted(named - set(table.c.keys())):
        raise ConfigInvalid(f"{source.table} has no column {', '.join(missing)}; it has {', '.join(table.c.keys())}")
    return table


class TableJob:
    """The rows of one table."""

    def __init__(self, job: Job, source: TableSource, sender: Sender, state: Path, stop: threading.Event) -> None:
        self._job, self._source, self._sender, self._stop = job, source, sender, stop
        self._database = Database(source.address())
        self._spool, self._failed = state / "spool", state / "failed"
        for folder in (self._spool / job.name, self._failed):
            folder.mkdir(parents=True, exist_ok=True)
        self._order = order = source.order
        self._file = PlaceFile(state / f"{job.name}.json", f"{source.table} by {', '.join(order)} for {job.resource_id}")
        self._place = self._file.load()
        self._keeps_times = self._is_set_back = False
        self._settled_mark: Mark | None = None  # in a table that keeps no times: rows up to it were there a while ago
        for left in {*(self._spool / job.name).iterdir()} - {self._spool / one.file for one in self._place.pending}:
            left.unlink()  # laid down, and killed before the place told of it: those rows are read again

    def step(self) -> bool:
        """Send what was begun, or else the next rows; say whether there were any. Raises: ProblemAnswer, Unreachable, ConfigInvalid."""
        if not self._place.pending and not (self._is_settled() and self._database.run(self._read)):
            return False
        self._send()
        return True

    # --- sending

    def _send(self) -> None:
        place = self._place
        while place.pending:
            first = place.pending[0]
            file = self._spool / first.file
            if file.exists():
                self._send_file(first, file)
            elif not self._sender.has_arrived(UUID(first.batch_id)):
                self._drop()
                raise ClientError(f"{file} is gone, with rows that were to be sent; they are read again")
            place.pending.pop(0)
            if not place.pending:
                place.after, place.then = place.then, None
            self._file.save(place)
            file.unlink(missing_ok=True)

    def _send_file(self, pending: Pending, file: Path) -> None:
        try:
            report = self._sender.send(file, UUID(pending.batch_id), pending.kind, name=self._source.table)
        except ProblemAnswer as problem:
            if is_fault_of_file(problem):  # no other file comes of sending it again: what mends the job shapes the rows anew
                self._drop()
            raise
        if report["state"] == "rejected":  # its rows stay here, with the reason, and the job goes on
            kept = self._failed / file.name
            keep(self._failed / f"{pending.batch_id}.report.json", json.dumps(report, ensure_ascii=False, default=str).encode())
            kept.unlink(missing_ok=True)
            kept.hardlink_to(file)

    def _drop(self) -> None:
        """Read again what was laid down and not sent: of the same rows comes the same batch."""
        dropped = self._place.pending
        is_snapshot = any(one.kind == "snapshot" for one in dropped)
        place = Place(self._place.after, None, [], None if is_snapshot else self._place.snapshot_at)
        self._file.save(place)
        self._place = place
        for one in dropped:
            (self._spool / one.file).unlink(missing_ok=True)

    # --- reading

    def _is_settled(self) -> bool:
        """Wait, in a table that keeps no times, until no slower transaction can put a row before the last one; False when stopped."""
        source = self._source
        is_only_snapshots = source.snapshot_hours is not None and not source.changed
        if not source.settle_seconds or is_only_snapshots or self._keeps_times:
            return True
        if self._settled_mark not in (None, self._place.after):
            return True
        self._settled_mark = self._database.run(self._last_mark)
        if self._settled_mark is None:
            return self._keeps_times or source.snapshot_hours is not None
        return not self._stop.wait(source.settle_seconds)

    def _last_mark(self, connection: Any) -> Mark | None:
        """Return the mark of the last row there is; None where times say what is settled, or there is nothing new."""
        table = described(self._database, self._source, connection)
        columns = self._ordering(connection, table)
        if self._source.changed and self._settled(connection, table.c[self._source.changed]) is not None:
            self._keeps_times = True
            return None
        query = self._rows_behind(self._select(columns, table), columns)
        row = connection.execute(query.order_by(*(column.desc() for column in columns)).limit(1)).mappings().first()
        return None if row is None else self._mark(row)

    def _read(self, connection: Any) -> bool:
        table = described(self._database, self._source, connection)
        hours = self._source.snapshot_hours
        if hours is not None and overdue(self._place.snapshot_at, hours, datetime.now(UTC)):
            self._snapshot(connection, table)
            return True
        if hours is not None and not self._source.changed:
            return False
        if self._source.changed:
            self._heed_clock(self._settled(connection, table.c[self._source.changed]))
        rows = connection.execute(self._query(connection, table).limit(self._source.rows + 1)).mappings().all()
        if not rows:
            self._settled_mark = None
            return False
        *rows, beyond = rows if len(rows) > self._source.rows else [*rows, None]
        last = self._mark(rows[-1])
        if last == self._place.after or (beyond is not None and last == self._mark(beyond)):
            raise ConfigInvalid(
                f"{', '.join(self._order)} do not tell the rows of {self._source.table} apart, and some would be passed over; "
                "name a key that no two rows share, in columns of no finer time than a microsecond"
            )
        self._lay_down(rows)
        return True

    def _query(self, connection: Any, table: Any) -> Any:
        """Select the rows behind the place, but none so young that a slower transaction could still put one before it."""
        columns = self._ordering(connection, table)
        query = self._rows_behind(self._select(columns, table), columns).order_by(*columns)
        if self._source.changed and (settled := self._settled(connection, table.c[self._source.changed])) is not None:
            return query.where(columns[0] < settled)
        if self._settled_mark is not None:
            return query.where(self._database.sa.not_(self._behind(columns, self._settled_mark)))
        return query

    def _rows_behind(self, query: Any, columns: Sequence[Any]) -> Any:
        query = query.where(*(column.is_not(None) for column in columns))
        return query if self._place.after is None else query.where(self._behind(columns, self._place.after))

    def _behind(self, columns: Sequence[Any], mark: Mark) -> Any:
        """Return whether a row comes after a mark; one that is only a moment is before all rows of it."""
        sa = self._database.sa
        behind = sa.false() if len(mark) == len(columns) else sa.true()
        for column, value in reversed(list(zip(columns, mark, strict=False))):
            behind = sa.or_(column > value, sa.and_(column == value, behind))
        return behind

    def _heed_clock(self, settled: Any) -> None:
        """Go back where the clock was set back: rows of now lie before the place, and those of before come once more, as upserts."""
        after = self._place.after
        self._is_set_back, was_set_back = settled is not None and after is not None and after[0] > settled, self._is_set_back
        if not self._is_set_back:
            return
        goes_back = self._job.kind != "append"  # where a row that came twice would be two
        if goes_back or not was_set_back:
            log("clock.set_back", job=self._job.name, place=mark_text(after), now=mark_text((settled,)), rows_read_again=goes_back)
        if goes_back:
            place = replace(self._place, after=(settled,))
            self._file.save(place)
            self._place = place

    def _ordering(self, connection: Any, table: Any) -> list[Any]:
        """Return the columns rows are read by. SQLite keeps times as text, and a place has to be that text to be equal to it."""
        sa, columns = self._database.sa, [table.c[name] for name in self._order]
        if connection.dialect.name != "sqlite":
            return columns
        return [sa.type_coerce(column, sa.String) if isinstance(column.type, sa.Date | sa.DateTime) else column for column in columns]

    def _select(self, columns: Sequence[Any], table: Any) -> Any:
        marks = [column.label(f"{_MARK}{number}") for number, column in enumerate(columns)]
        return self._database.sa.select(table, *marks)

    def _mark(self, row: Any) -> Mark:
        return tuple(row[f"{_MARK}{number}"] for number in range(len(self._order)))

    def _settled(self, connection: Any, column: Any) -> Any:
        """Return the moment before which no row comes any more; None for a column that is no time."""
        sa = self._database.sa
        if not isinstance(column.type, sa.Date | sa.DateTime):
            return None
        now = connection.scalar(sa.select(sa.func.now())) if connection.dialect.name == "postgresql" else datetime.now(UTC)
        now -= timedelta(seconds=self._source.settle_seconds)
        if isinstance(column.type, sa.DateTime) and column.type.timezone and connection.dialect.name == "postgresql":
            return now
        bare = now.astimezone(UTC if self._source.clock == "utc" else None).replace(tzinfo=None)
        found = bare.date() if isinstance(column.type, sa.Date) else bare.replace(microsecond=0)
        return str(found) if connection.dialect.name == "sqlite" else found

    def _lay_down(self, rows: Sequence[Any]) -> None:
        marker = self._source.deleted
        gone = [row for row in rows if marker is not None and not _is_alive(row[marker])]
        alive = [row for row in rows if marker is None or _is_alive(row[marker])]
        kinds = ((self._job.kind or ("upsert" if self._source.changed else "append"), alive), ("delete", gone))
        self._begin([self._spooled(kind, some) for kind, some in kinds if some], self._mark(rows[-1]))

    def _begin(self, pending: list[Pending], then: Mark | None, snapshot_at: datetime | None = None) -> None:
        place = Place(self._place.after, then, pending, snapshot_at or self._place.snapshot_at)
        self._file.save(place)  # before anything is sent, or a full disk and a kill would make other batches of the same rows
        self._place = place
        log("rows.read", job=self._job.name, table=self._source.table, batches=len(pending), up_to=mark_text(then))

    def _snapshot(self, connection: Any, table: Any) -> None:
        """Lay the whole table down; the place moves behind what of it is settled, for it need not be sent again."""
        begun = datetime.now(UTC)
        marker, last = self._source.deleted, self._place.after
        settled = self._settled(connection, table.c[self._source.changed]) if self._source.changed else None
        query = self._select(self._ordering(connection, table), table)
        result = connection.execution_options(yield_per=_SNAPSHOT_ROWS).execute(query).mappings()

        def rows() -> Iterable[Any]:
            nonlocal last
            for row in result:
                if self._source.changed:
                    mark = self._mark(row)
                    if None not in mark and (settled is None or mark[0] < settled) and (last is None or mark > last):
                        last = mark
                if marker is None or _is_alive(row[marker]):
                    yield row

        self._begin([self._spooled("snapshot", rows())], last, begun)

    def _spooled(self, kind: str, rows: Iterable[Any]) -> Pending:
        """Write rows as compressed NDJSON. The batch's id is made of job, place and content: sent again, it is the same batch."""
        made = self._spool / self._job.name / f"{kind}.new"
        digest, compressor = hashlib.sha256(), cramjam.zstd.Compressor(3)
        waiting = 0
        with made.open("wb") as out:
            for row in rows:
                line = json.dumps(self._items(row), ensure_ascii=False, default=_plain).encode() + b"\n"
                digest.update(line)
                waiting += compressor.compress(line)
                if waiting > _PIECE_BYTES:
                    out.write(bytes(compressor.flush()))
                    waiting = 0
            out.write(bytes(compressor.finish()))
        name = f"{self._job.resource_id}/{self._job.name}/{kind}/{mark_text(self._place.after)}/{digest.hexdigest()}"
        if kind == "snapshot":
            name += f"/{datetime.now(UTC).isoformat()}"  # the table may be what it was once: it is a snapshot of another day
        batch_id = uuid5(_BATCH_IDS, name)
        file = f"{self._job.name}/{batch_id}.ndjson.zst"
        settle(made, self._spool / file)
        return Pending(str(batch_id), kind, file)

    def _items(self, row: Any) -> dict[str, Any]:
        named = self._source.columns or {name: name for name in row if name != self._source.deleted and not name.startswith(_MARK)}
        found = ((item, row[column]) for item, column in named.items())
        return {item: str(value) if isinstance(value, float) and not math.isfinite(value) else value for item, value in found}


def _is_alive(value: Any) -> bool:
    return (value.lower() if isinstance(value, str) else value) in _ALIVE


def _plain(value: Any) -> Any:
    """Return what JSON has no form for as text; a table's binary columns have none."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    with suppress(AttributeError):
        return value.isoformat()
    raise ConfigInvalid(f"a value of type {type(value).__name__} cannot be sent; leave its column out with table.columns")
