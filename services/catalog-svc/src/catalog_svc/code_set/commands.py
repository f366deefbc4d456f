"""What changes code sets."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.code_set import domain, store
from catalog_svc.code_set.errors import CodeSetInvalid
from dxmesh_runtime import outbox
from dxmesh_schemas.catalog_events import CodeSetPublished


async def publish(tx: AsyncSession, name: str, *, title: str, codes: Sequence[str], now: datetime) -> tuple[store.CodeSetVersion, bool]:
    """Put a code set in force; return its version and whether it is new. The same title and codes, in any order, are the same version.

    Raises: CodeSetInvalid (422).
    Emits: catalog.code_set.published.v1, when the version is new.
    """
    _refuse(domain.faults(codes))
    row = await store.lock(tx, name, title=title, now=now)
    if row.version > 0:
        current = await store.get_version(tx, name, row.version)
        if current.title == title and len(current.codes) == len(codes) and set(current.codes) == set(codes):
            return current, False
    row.title, row.version, row.code_count, row.published_at = title, row.version + 1, len(codes), now
    event = CodeSetPublished(name=name, version=row.version, title=title, codes=tuple(codes))
    fault = domain.event_fault(event)
    _refuse([fault] if fault else [])
    version = store.CodeSetVersion(name=name, version=row.version, title=title, codes=list(codes), published_at=now)
    tx.add(version)
    await tx.flush()
    await outbox.add(tx, event, now=now)
    return version, True


def _refuse(faults: Sequence[domain.Fault]) -> None:
    if faults:
        detail = "; ".join(f"{pointer}: {what}" for pointer, what in faults[:5])
        raise CodeSetInvalid(detail, errors=[{"pointer": pointer, "detail": what} for pointer, what in faults])
