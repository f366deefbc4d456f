"""What publishes editions."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.edition import domain, store
from catalog_svc.edition.errors import EditionEmpty, EditionKeyMissing, EditionTaken
from dxmesh_runtime import outbox, signing
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog_events import EditionPublished

_ZONE = ZoneInfo("Asia/Shanghai")


async def publish(
    tx: AsyncSession, year: int, *, title: str, node: str, key: Ed25519PrivateKey | None, by: Principal, now: datetime
) -> store.Edition:
    """Freeze what is in force as a year's edition, signed with the node's key.

    Raises: EditionYearInvalid (422), EditionKeyMissing (503), EditionTaken (409), EditionEmpty (409).
    Emits: catalog.edition.published.v1.
    """
    domain.check_year(year, now.astimezone(_ZONE).date())
    if key is None:
        raise EditionKeyMissing("editions are signed: give the node a key (SIGNING__KEY_FILE), then publish again")
    await store.hold(tx)
    known = await store.find(tx, year)
    if known is not None:
        detail = f"the edition of {year} was published {known.published_at.isoformat(timespec='seconds')} and never changes"
        raise EditionTaken(f"{detail}; read it, or publish that of the next year", content_sha256=known.content_sha256)
    content = domain.Content()
    async for snapshots in store.stream_in_force(tx):
        await asyncio.to_thread(content.add, snapshots)
    if content.resource_count == 0:
        raise EditionEmpty("no data resource is in force; publish resources first")
    statement = domain.statement(year=year, title=title, node=node, content=content, published_at=now)
    row = store.Edition(
        year=year,
        title=title,
        resource_count=content.resource_count,
        item_count=content.item_count,
        shareable_item_count=content.shareable_item_count,
        provider_count=content.provider_count,
        content=content.packed(),
        content_sha256=content.sha256,
        content_byte_count=content.byte_count,
        signature=signing.sign_jws(key, statement, typ=domain.TYPE),
        published_at=now,
        published_by=by.subject,
    )
    tx.add(row)
    await tx.flush()
    event = EditionPublished(
        year=year,
        title=title,
        resource_count=row.resource_count,
        item_count=row.item_count,
        shareable_item_count=row.shareable_item_count,
        content_sha256=row.content_sha256,
        content_byte_count=row.content_byte_count,
        signature=row.signature,
        published_at=now,
    )
    await outbox.add(tx, event, now=now)
    return row
