"""Reading a grant's rows from its resource's table, page by page at one version of the table."""

import asyncio
import hashlib
import json
from dataclasses import dataclass, replace
from uuid import UUID

import polars as pl
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.paging import CursorInvalid
from dxmesh_schemas.catalog import DataItem, ResourceSnapshot
from dxmesh_schemas.exchange import ViewSnapshot
from dxmesh_schemas.problem import NotFound
from dxmesh_tabular.items import ROW, SEQUENCE
from dxmesh_tabular.lookup import Lookup
from exchange_svc import sealed_cursor
from exchange_svc.catalog import store as catalog
from exchange_svc.enforcement.filters import Passing
from exchange_svc.enforcement.rows import TokenKeys, mask
from exchange_svc.grant import domain, store
from exchange_svc.grant.errors import TableBehind, TableVersionGone
from exchange_svc.table import store as tables


@dataclass(frozen=True, slots=True)
class Readable:
    """What a grant lets its requester read now: the view as it is, and the table in its newest version.

    granted: the items as the version in force has them. key: the resource's, whether or not it is granted.
    view, table_key: None while nothing leaves. sequence: the last batch that the table holds.
    """

    grant_id: UUID
    granted: tuple[DataItem, ...]
    key: tuple[str, ...]
    view: ViewSnapshot | None
    table_key: str | None
    version: int
    sequence: int = 0

    @property
    def items(self) -> tuple[str, ...]:
        """Return the codes of the items that are read."""
        return tuple(item.code for item in self.granted)


async def open_view(tx: AsyncSession, grant: store.Grant, view: store.View) -> Readable:
    """Say what is read by a grant now; whether it may be is for the caller to check."""
    readable = without_table(grant, view, (await catalog.get_resource(tx, grant.resource_id)).read())
    newest = await tables.find(tx, grant.resource_id)
    if readable.view is None or newest is None or newest.sequence == 0:
        return readable
    return replace(readable, table_key=newest.table_key, version=newest.version, sequence=newest.sequence)


def without_table(grant: store.Grant, view: store.View, resource: ResourceSnapshot) -> Readable:
    """Say what is read by a grant under a version of its resource, as if nothing was folded yet."""
    told = domain.snapshot(view.open_view, resource)
    granted = tuple(item for code in domain.leaving_items(view.items, resource) if (item := resource.item(code)) is not None)
    return Readable(grant.grant_id, granted, resource.key, told, None, 0)


def etag(readable: Readable, *asked: object) -> str:
    """Return the entity tag of a page: another as soon as the table's version, the view or what is asked for is another."""
    view = readable.view.model_dump_json() if readable.view else ""
    text = json.dumps([str(readable.grant_id), readable.table_key, readable.version, readable.items, view, *map(str, asked)])
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _begun(key: bytes, readable: Readable, cursor: str | None) -> tuple[int, tuple[int, int] | None, int]:
    """Return the table's version a reading is of, the row it goes on behind, and the last batch in it. Raises: CursorInvalid (422)."""
    if cursor is None:
        return readable.version, None, readable.sequence
    place = sealed_cursor.unseal(key, f"rows:{readable.grant_id}", cursor)
    if len(place) != 4:
        raise CursorInvalid
    version, sequence, row, begun = place
    return version, (sequence, row), begun


def read_to(key: bytes, readable: Readable, cursor: str | None) -> int:
    """Return the last batch whose rows are in a reading, for its page behind a cursor. Raises: CursorInvalid (422)."""
    return _begun(key, readable, cursor)[2]


async def page(
    lookup: Lookup, key: bytes, tokens: TokenKeys, readable: Readable, *, limit: int, cursor: str | None
) -> tuple[pl.DataFrame, str | None]:
    """Return the rows behind a cursor, at most `limit`, and the next cursor; pages of one reading are of one table version.

    Frame: n_rows × items, filtered and masked as the grant says. tokens: the keys of pseudonyms.
    Raises: CursorInvalid (422), TableVersionGone (410), TableBehind (503).
    """
    version, after, begun = _begun(key, readable, cursor)
    view, folder, items = readable.view, readable.table_key, readable.items
    if folder is None or view is None:
        return pl.DataFrame(schema=dict.fromkeys(items, pl.String)), None
    where = Passing(view.where) if view.where else None

    def read() -> tuple[pl.DataFrame, str | None]:
        if where is not None:
            _check_form(where, lookup.schema(folder, version))
        frame = lookup.page(folder, version, after=after, limit=limit + 1, columns=items, where=where)
        following = None
        if frame.height > limit:
            frame = frame.head(limit)
            following = sealed_cursor.seal(key, f"rows:{readable.grant_id}", version, frame[SEQUENCE][-1], frame[ROW][-1], begun)
        return mask(frame[list(items)], view, tokens), following

    try:
        return await asyncio.to_thread(read)
    except (NotFound, FileNotFoundError) as gone:
        raise TableVersionGone(f"version {version} of the table is kept no longer; begin again without a cursor", version=version) from gone


def _check_form(where: Passing, held: pl.Schema) -> None:
    """Let rows be filtered whose columns are those of the filter. Raises: TableBehind (503)."""
    try:
        where(held)
    except (KeyError, ValueError) as behind:
        raise TableBehind("the table is not yet in the form of the version in force; try again in a few seconds") from behind
