"""A subscriber's copy of a view in SQLite: what a record does to it, and how far each partition was taken over.

Rows and places change in one transaction, so a subscriber that is killed goes on where its copy ends: nothing twice, nothing left out.
A real subscriber does the same in its own database.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Record = tuple[int, int, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""Partition, offset, key, value, headers: every client has these, under other names."""

_TABLES = """
CREATE TABLE IF NOT EXISTS row (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (batch TEXT, number INTEGER, PRIMARY KEY (batch, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""


class Copy:
    """The copy of one view."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file)
        self._database.executescript(_TABLES)

    def places(self) -> dict[int, int]:
        """Return for each partition the offset to go on from."""
        return dict(self._database.execute("SELECT partition, next_offset FROM place"))

    def apply(self, records: Iterable[Record]) -> None:
        """Take records over, all or none of them."""
        with self._database:
            for partition, offset, key, value, headers in records:
                self._apply(key, value, dict(headers))
                self._database.execute("REPLACE INTO place VALUES (?, ?)", (partition, offset + 1))

    def _apply(self, key: bytes | None, value: bytes | None, headers: dict[str, bytes]) -> None:
        batch, number = headers["batch"].decode(), int(headers["row"])
        if not self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (batch, number)).rowcount:
            self._count("repeats")  # the broker lost its disk, and the row came again
            return
        # without a business key in the view, a row is named by where it came from
        name = key.decode() if key is not None else f"{batch}/{number}"
        if value is None:
            self._database.execute("DELETE FROM row WHERE key = ?", (name,))
            self._count("deletions")
        else:
            self._database.execute("REPLACE INTO row VALUES (?, ?)", (name, value.decode()))

    def _count(self, name: str) -> None:
        self._database.execute("INSERT INTO tally VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1", (name,))

    def rows(self) -> dict[str, Any]:
        """Return the rows as they are now, by key."""
        return {key: json.loads(value) for key, value in self._database.execute("SELECT key, value FROM row")}

    def summary(self) -> str:
        """Return, as JSON, how many rows of each batch were taken over, what else came, and how many rows there are now."""
        batches = dict(self._database.execute("SELECT batch, count(*) FROM seen GROUP BY batch ORDER BY batch"))
        tally = {"deletions": 0, "repeats": 0} | dict(self._database.execute("SELECT name, count FROM tally"))
        (rows,) = self._database.execute("SELECT count(*) FROM row").fetchone()
        return json.dumps({"rows": rows, "batches": batches, **tally})
