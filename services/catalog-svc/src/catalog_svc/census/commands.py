"""What takes a census."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.census import domain, store
from catalog_svc.report import store as reports
from catalog_svc.sharing_list import shown
from catalog_svc.sharing_list import store as lists
from catalog_svc.sharing_list.domain import KeptKind, ListKind
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7

_ZONE = ZoneInfo("Asia/Shanghai")


async def take(tx: AsyncSession, *, title: str, by: Principal, now: datetime) -> store.Census:
    """Freeze the counts and digests of all six lists as they are now, seen at one instant.

    Source: 数据资源普查 → 系统清单, 数据清单, 需求清单.
    """
    # every list is read as of one moment, however long the reading takes
    await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    frozen = {}
    for kind in ListKind:
        digest = domain.ListDigest()
        async for entries in _entries(tx, kind):
            await asyncio.to_thread(digest.add, entries)
        frozen[kind.value] = digest.frozen()
    departments = [
        {"organization_id": str(line["organization_id"]), "name": line["name"], **{name: line[name] for name in domain.COUNTED}}
        for line in await reports.ledger(tx)
        if line["organization_id"] is not None
    ]
    row = store.Census(
        census_id=uuid7(),
        title=title,
        taken_on=now.astimezone(_ZONE).date(),
        lists=frozen,
        departments=departments,
        taken_at=now,
        taken_by=by.subject,
    )
    tx.add(row)
    await tx.flush()
    return row


def _entries(tx: AsyncSession, kind: ListKind) -> AsyncIterator[Sequence[dict[str, Any]]]:
    if kind is ListKind.SYSTEM:
        return _without(shown.stream_systems(tx, of=None), "resource_count")
    if kind is ListKind.DATA:
        return shown.stream_resources(tx, of=None)
    return shown.stream_entries(tx, KeptKind(kind.value), lists.Asked())


async def _without(entries: AsyncIterator[Sequence[dict[str, Any]]], name: str) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Leave a column out: a system is the same however many resources hang on it."""
    async for piece in entries:
        yield [{key: value for key, value in entry.items() if key != name} for entry in piece]
