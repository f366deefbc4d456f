"""The place of a table job: how far it has read, and what it was sending; on disk before anything depends on it."""

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from dxmesh_client.agent.config import ConfigInvalid
from dxmesh_client.upload import keep

Mark = tuple[Any, ...]
_TYPES: dict[str, tuple[type, Any]] = {
    "datetime": (datetime, datetime.fromisoformat),
    "date": (date, date.fromisoformat),
    "decimal": (Decimal, Decimal),
    "uuid": (UUID, UUID),
}


@dataclass(slots=True)
class Pending:
    """A batch whose rows lie in a file: it is sent as it is, however often that takes."""

    batch_id: str
    kind: str
    file: str


@dataclass(slots=True)
class Place:
    """Rows up to `after` are at the node; once all that is pending is there too, so are those up to `then`."""

    after: Mark | None = None
    then: Mark | None = None
    pending: list[Pending] = field(default_factory=list)
    snapshot_at: datetime | None = None


def _plain(value: Any) -> Any:
    for name, (kind, _) in _TYPES.items():
        if isinstance(value, kind):
            return {name: value.isoformat() if isinstance(value, date) else str(value)}
    if not isinstance(value, str | int | float | None):
        raise ConfigInvalid(f"rows cannot be read by a column of type {type(value).__name__}; name others in table.key or table.changed")
    return value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        ((name, text),) = value.items()
        return _TYPES[name][1](text)
    return value


def mark_text(mark: Mark | None) -> str:
    """Return a mark as text, always the same for the same."""
    return json.dumps(None if mark is None else [_plain(value) for value in mark])


class PlaceFile:
    """Where a job's place is kept; `source` says what it is a place in."""

    def __init__(self, path: Path, source: str) -> None:
        self._path, self._source = path, source

    def load(self) -> Place:
        """Return the place. Raises: ConfigInvalid when it is one in another table, or none that can be read."""
        try:
            found = json.loads(self._path.read_bytes())
            source, at = found["source"], found["snapshot_at"]
            marks = [None if found[name] is None else tuple(_read(value) for value in found[name]) for name in ("after", "then")]
            pending = [Pending(**{name: str(value) for name, value in one.items()}) for one in found["pending"]]
            place = Place(marks[0], marks[1], pending, datetime.fromisoformat(at).astimezone() if at else None)
        except FileNotFoundError:
            return Place()
        except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as torn:
            raise ConfigInvalid(
                f"{self._path} cannot be read ({torn!r}): put it back from a backup of the state, "
                "or remove it to begin anew, which sends every row again"
            ) from torn
        if source != self._source:
            raise ConfigInvalid(
                f"{self._path} is a place in {source}; the job now reads {self._source}: "
                "give the job another name, or remove the file to begin anew"
            )
        return place

    def save(self, place: Place) -> None:
        """Keep the place, whole or not at all, before anything depends on it."""
        document = {
            "source": self._source,
            "after": json.loads(mark_text(place.after)),
            "then": json.loads(mark_text(place.then)),
            "pending": [{"batch_id": one.batch_id, "kind": one.kind, "file": one.file} for one in place.pending],
            "snapshot_at": place.snapshot_at.isoformat() if place.snapshot_at else None,
        }
        keep(self._path, json.dumps(document, indent=1).encode())


def overdue(at: datetime | None, hours: float, now: datetime) -> bool:
    """Say whether a snapshot is due; one of a time to come is of a clock that was wrong."""
    return at is None or not timedelta(0) <= now - at < timedelta(hours=hours)
