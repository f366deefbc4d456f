"""What a call stands on: its grant, the view and the resource's table as they are now, by one statement a call."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from exchange_svc.catalog import store as catalog
from exchange_svc.grant import pull
from exchange_svc.grant.pull import Readable
from exchange_svc.grant.store import Grant, View

_MOST_KEPT = 1_000
_STANDING = text("""
    SELECT g.xmin::text AS grant_mark, v.xmin::text AS view_mark, r.version AS resource_version,
           t.table_key, t.version, t.sequence, s.organization_id AS system_of
    FROM "grant" g JOIN view v USING (view_id) JOIN resource r ON r.resource_id = g.resource_id
         LEFT JOIN resource_table t ON t.resource_id = g.resource_id AND t.sequence > 0
         LEFT JOIN system s ON s.system_id = :system_id AND NOT s.is_retired
    WHERE g.grant_id = :grant_id
""")
_Marks = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Standing:
    """A grant and what is read by it. mark: of the grant's row, another after each change; system_of: whose the system in service is."""

    grant: Grant
    mark: str
    readable: Readable
    system_of: UUID | None


_kept: dict[UUID, tuple[_Marks, Grant, Readable]] = {}
"""What was made of rows, with the marks these had: a row that was changed has another (PostgreSQL's xmin)."""


async def find(connection: AsyncConnection, grant_id: UUID, *, system_id: UUID | None) -> Standing | None:
    """Return what a call by a grant stands on, if there is such a grant; rows are read and understood again only once they changed."""
    now = (await connection.execute(_STANDING, {"grant_id": grant_id, "system_id": system_id})).one_or_none()
    if now is None:
        return None
    kept = _kept.get(grant_id)
    if kept is None or kept[0] != (now.grant_mark, now.view_mark, now.resource_version):
        kept = await _read(connection, grant_id, now.resource_version)
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[grant_id] = kept
    (mark, *_), grant, readable = kept
    if now.table_key is not None and readable.view is not None:
        readable = replace(readable, table_key=now.table_key, version=now.version, sequence=now.sequence)
    return Standing(grant, mark, readable, now.system_of)


async def _read(connection: AsyncConnection, grant_id: UUID, resource_version: int) -> tuple[_Marks, Grant, Readable]:
    grant_mark, columns = await _row(connection, Grant, grant_id)
    grant = Grant(**columns)
    view_mark, columns = await _row(connection, View, grant.view_id)
    resource = await catalog.get_version(connection, grant.resource_id, resource_version)
    return (grant_mark, view_mark, resource_version), grant, pull.without_table(grant, View(**columns), resource)


async def _row(connection: AsyncConnection, table: type[Grant | View], key: UUID) -> tuple[str, Mapping[str, Any]]:
    [primary] = table.__mapper__.primary_key
    columns = table.__table__.columns
    mark, *values = (await connection.execute(select(literal_column("xmin::text"), *columns).where(primary == key))).one()
    return mark, dict(zip(columns.keys(), values, strict=True))
