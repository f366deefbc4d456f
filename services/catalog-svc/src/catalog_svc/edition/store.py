"""Editions in PostgreSQL, which lets none of them be changed or removed."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Integer, LargeBinary, Text, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.edition.errors import EditionNotFound
from catalog_svc.resource.store import Resource, ResourceVersion
from catalog_svc.rows import Base

_PIECE_ROWS = 200


class Edition(Base):
    """The catalogue as it was in force when a year's edition was published; `content` is compressed."""

    __tablename__ = "edition"
    year: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    title: Mapped[str] = mapped_column(Text)
    resource_count: Mapped[int] = mapped_column(Integer)
    item_count: Mapped[int] = mapped_column(Integer)
    shareable_item_count: Mapped[int] = mapped_column(Integer)
    provider_count: Mapped[int] = mapped_column(Integer)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    content_sha256: Mapped[str] = mapped_column(Text)
    content_byte_count: Mapped[int] = mapped_column(Integer)
    signature: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    published_by: Mapped[str] = mapped_column(Text)


async def hold(tx: AsyncSession) -> None:
    """Let one edition be made at a time, until the transaction ends."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtext("edition"))))


async def find(tx: AsyncSession, year: int) -> Edition | None:
    """Return a year's edition without its content, if it was published."""
    return await tx.scalar(select(Edition).where(Edition.year == year))


async def get(tx: AsyncSession, year: int) -> Edition:
    """Return a year's edition without its content. Raises: EditionNotFound (404)."""
    row = await find(tx, year)
    if row is None:
        raise EditionNotFound(f"no edition of {year} is published")
    return row


async def content(tx: AsyncSession, year: int) -> bytes:
    """Return the compressed content of an edition. Raises: EditionNotFound (404)."""
    packed = await tx.scalar(select(Edition.content).where(Edition.year == year))
    if packed is None:
        raise EditionNotFound(f"no edition of {year} is published")
    return packed


async def list_page(tx: AsyncSession, *, after: int | None, limit: int) -> Sequence[Edition]:
    """Return up to limit + 1 editions, oldest first."""
    query = select(Edition).order_by(Edition.year).limit(limit + 1)
    return (await tx.scalars(query if after is None else query.where(Edition.year > after))).all()


async def stream_in_force(tx: AsyncSession) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Yield the snapshots in force by resource code, as one statement sees them: no change in between is half in it."""
    query = (
        select(ResourceVersion.snapshot)
        .join(Resource, (Resource.resource_id == ResourceVersion.resource_id) & (Resource.version == ResourceVersion.version))
        .where(Resource.version > 0, Resource.withdrawn_at.is_(None))
        # by bytes: the same order whatever the database's language
        .order_by(Resource.resource_code.collate("C"))
    )
    result = await tx.stream(query, execution_options={"yield_per": _PIECE_ROWS})
    async for piece in result.scalars().partitions(_PIECE_ROWS):
        yield piece
