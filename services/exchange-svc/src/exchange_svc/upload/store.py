"""The upload table: what an upload is to become; its bytes, and so its offset, are on disk."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from exchange_svc.rows import Base
from exchange_svc.upload.domain import State
from exchange_svc.upload.errors import UploadNotFound

_COUNT_LOCK = 0x64787570


class Upload(Base):
    """A file that arrives in parts."""

    __tablename__ = "upload"
    __table_args__ = (Index("ix_upload_expires", "expires_at"), Index("ix_upload_provider", "provider_id"))
    upload_id: Mapped[UUID] = mapped_column(primary_key=True)
    provider_id: Mapped[UUID]
    resource_id: Mapped[UUID]
    batch_id: Mapped[UUID]
    byte_count: Mapped[int]
    metadata_header: Mapped[str]
    state: Mapped[str]
    problem: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


async def find(tx: AsyncSession, upload_id: UUID) -> Upload | None:
    """Return an upload, if there is one."""
    return await tx.get(Upload, upload_id)


async def get(tx: AsyncSession, upload_id: UUID, provider_id: UUID) -> Upload:
    """Return an organization's upload. Raises: UploadNotFound (404, also for another's)."""
    row = await find(tx, upload_id)
    if row is None or row.provider_id != provider_id:
        raise UploadNotFound(f"upload {upload_id} does not exist, or you may not see it; create it again")
    return row


async def arriving(tx: AsyncSession, provider_id: UUID, now: datetime) -> tuple[int, int]:
    """Return how many uploads of an organization are unfinished, and the bytes they may come to.

    Until the transaction ends nobody else counts them.
    """
    await tx.execute(select(func.pg_advisory_xact_lock(_COUNT_LOCK, func.hashtext(str(provider_id)))))
    query = select(func.count(), func.coalesce(func.sum(Upload.byte_count), 0))
    query = query.where(Upload.provider_id == provider_id, Upload.state == State.ARRIVING, Upload.expires_at > now)
    count, byte_count = (await tx.execute(query)).one()
    return count, int(byte_count)


async def change(tx: AsyncSession, upload_id: UUID, **values: Any) -> None:
    """Change an upload's columns."""
    await tx.execute(update(Upload).where(Upload.upload_id == upload_id).values(**values))


async def remove(tx: AsyncSession, upload_id: UUID) -> None:
    """Remove an upload's row."""
    await tx.execute(delete(Upload).where(Upload.upload_id == upload_id))


async def list_expired(tx: AsyncSession, now: datetime, *, limit: int) -> Sequence[UUID]:
    """Return uploads whose time is over."""
    return (await tx.scalars(select(Upload.upload_id).where(Upload.expires_at <= now).order_by(Upload.expires_at).limit(limit))).all()
