"""Keeping a Delta table in order beside its folds and its readers: small files joined, what no kept version needs removed, damage found."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote

from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction

from dxmesh_schemas.problem import Conflict
from dxmesh_tabular import table_files as files
from dxmesh_tabular.store import Listed, ObjectStore
from dxmesh_tabular.table import TableDamaged
from dxmesh_tabular.table_files import DataFile

_LOG = "_delta_log"
_LOG_FILE = re.compile(r"([0-9]{20})\.(?:json|crc|checkpoint\.(?:.*\.)?parquet)")
_ALONE = CommitProperties(max_commit_retries=0)


@dataclass(frozen=True, slots=True)
class Joined:
    """Files written in place of smaller ones, and no part of the table yet."""

    adds: tuple[AddAction, ...]
    removes: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed: files of rows and of the log, and their bytes."""

    data_files: int
    log_files: int
    byte_count: int


def join_small(store: ObjectStore, folder: str, *, spare_files: int) -> Joined | None:
    """Write neighbouring small files of a table as larger ones, if that spares at least so many files; the table stays as it is.

    Neighbours in the order of the rows, so what a page reads stays together. Folds go on meanwhile: `put_joined` looks whether they
    left the files in place. Memory: the rows of one file.
    """
    table = _open(store, folder)
    groups = [group for group in _neighbours(files.list_files(table)) if len(group) > 1]
    if sum(len(group) - 1 for group in groups) < max(1, spare_files):
        return None
    schema = files.columns(table)
    adds: list[AddAction] = []
    for group in groups:
        frames = (files.read(store, folder, file.path, schema).collect() for file in group)
        adds += files.write(store, folder, frames)
    return Joined(tuple(adds), tuple(file for group in groups for file in group))


def put_joined(store: ObjectStore, folder: str, joined: Joined) -> int:
    """Put joined files in place of the small ones and return the table's new version; its rows are the same.

    Quick; nobody may fold meanwhile. Raises: Conflict (409) when a fold replaced one of the small files: the joined ones are removed.
    """
    table = _open(store, folder)
    held = {file.path for file in files.list_files(table)}
    if not held.issuperset(file.path for file in joined.removes):
        for add in joined.adds:
            store.delete(f"{folder}/{add.path}")
        raise Conflict("a fold replaced files while they were joined; join again")
    try:
        files.exchange(table, joined.adds, joined.removes, _ALONE, same_rows=True)
    except CommitFailedError as error:
        raise Conflict("the table was changed by another at the same time; join again") from error
    return table.version()


def remove_old(store: ObjectStore, folder: str, *, kept: timedelta, told_version: int, now: datetime) -> Removed:
    """Remove what only versions need that were replaced longer ago than `kept`, and what a fold that was killed left behind.

    A version stays readable for `kept` after it was replaced, and `told_version` as long as it is the one others were told of. Of the
    log, what is before the newest checkpoint from which all of those can be read. Nothing is committed, so folds and readers are not
    in the way; cut short, the next call goes on.
    kept: whole hours, above what the longest fold takes.
    """
    table = _open(store, folder)
    listed = list(store.list_objects(folder))
    by_path = {one.key.removeprefix(f"{folder}/"): one for one in listed}
    needed = {file.path for file in files.list_files(table)} | _paths_at(store, folder, told_version)
    gone = table.vacuum(retention_hours=int(kept / timedelta(hours=1)), dry_run=True, enforce_retention_duration=False, full=True)
    data = [by_path[path] for path in map(unquote, gone) if path in by_path and path not in needed and not path.startswith(_LOG)]
    log = _old_log(folder, listed, told_version=told_version, before=now - kept)
    for one in (*data, *log):
        store.delete(one.key)
    return Removed(len(data), len(log), sum(one.byte_count for one in (*data, *log)))


def remove_folder(store: ObjectStore, folder: str, *, kept: timedelta, now: datetime) -> None:
    """Remove a table that another took the place of, when nothing was put into it for `kept`."""
    listed = list(store.list_objects(folder))
    if all(one.put_at <= now - kept for one in listed):
        for one in listed:
            store.delete(one.key)


def check(store: ObjectStore, folder: str) -> None:
    """Look whether every file of the newest version is there in its length. Raises: TableDamaged."""
    held = files.list_files(_open(store, folder))
    sizes = {one.key: one.byte_count for one in store.list_objects(folder)}
    bad = [file.path for file in held if sizes.get(f"{folder}/{unquote(file.path)}") != file.byte_count]
    if bad:
        raise TableDamaged(f"{len(bad)} of {len(held)} files of the table {folder} are not there or cut short, among them {bad[0]}")


def go_on_from(store: ObjectStore, folder: str, version: int) -> int:
    """Let a table that nobody reads yet begin with a version of at least that number, its earlier ones left out; return the number.

    A table that takes another's place must not use its numbers again: a reader would take old rows for new ones. The log then begins
    with a checkpoint, as one does from which old entries were cleaned. Source: Delta Transaction Log Protocol, Checkpoints.
    """
    table = _open(store, folder)
    newest = table.version()
    version = max(version, newest + 1)
    table.create_checkpoint()
    checkpoint = store.get_bytes(f"{folder}/{_LOG}/{newest:020}.checkpoint.parquet")
    entry = store.get_bytes(f"{folder}/{_LOG}/{newest:020}.json")
    hint = store.get_bytes(f"{folder}/{_LOG}/_last_checkpoint").replace(f'"version":{newest}'.encode(), f'"version":{version}'.encode())
    before = list(store.list_objects(f"{folder}/{_LOG}"))
    store.put_bytes(f"{folder}/{_LOG}/{version:020}.json", entry)
    store.put_bytes(f"{folder}/{_LOG}/{version:020}.checkpoint.parquet", checkpoint)
    for one in before:
        store.delete(one.key)
    store.put_bytes(f"{folder}/{_LOG}/_last_checkpoint", hint)
    return _open(store, folder).version()


def _open(store: ObjectStore, folder: str, version: int | None = None) -> DeltaTable:
    try:
        return DeltaTable(store.uri(folder), version=version, storage_options=store.storage_options)
    except DeltaError as error:
        raise TableDamaged(f"the log of the table {folder} cannot be read: {error}") from error


def _neighbours(held: Sequence[DataFile]) -> list[list[DataFile]]:
    groups: list[list[DataFile]] = []
    rows = 0
    for file in held:
        rows += file.row_count
        if not groups or rows > files.FILE_ROWS:
            groups.append([])
            rows = file.row_count
        groups[-1].append(file)
    return groups


def _paths_at(store: ObjectStore, folder: str, version: int) -> set[str]:
    try:
        return {file.path for file in files.list_files(_open(store, folder, version))}
    except TableDamaged:  # removed with its log before it was told of
        return set()


def _old_log(folder: str, listed: Sequence[Listed], *, told_version: int, before: datetime) -> list[Listed]:
    numbered = [
        (int(match[1]), one) for one in listed if (match := _LOG_FILE.fullmatch(one.key.removeprefix(f"{folder}/{_LOG}/"))) is not None
    ]
    replaced = [version for version, one in numbered if one.key.endswith(".json") and one.put_at <= before]
    base = min(max(replaced, default=0), told_version)
    begin = max((version for version, one in numbered if ".checkpoint." in one.key and version <= base), default=0)
    return [one for version, one in numbered if version < begin]
