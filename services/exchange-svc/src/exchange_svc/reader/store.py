"""The reader table, and what its readers may read now."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.grant import store as grants
from exchange_svc.grant.store import Grant, View
from exchange_svc.reader.domain import user_name
from exchange_svc.reader.errors import ReaderNotFound
from exchange_svc.rows import Base

_COUNT_LOCK = 0x64787265
CHANNEL = "reader"
"""Notified by PostgreSQL when grants, views or readers change."""


class Reader(Base):
    """The Kafka user of an organization's information system; sealed: its salted password, see scram.py."""

    __tablename__ = "reader"
    __table_args__ = (
        Index("uq_reader_name", "organization_id", "name", unique=True, postgresql_where=text("revoked_at IS NULL")),
        Index("ix_reader_organization", "organization_id", "created_at", "reader_id"),
    )
    reader_id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    name: Mapped[str]
    system_id: Mapped[UUID | None]
    salt: Mapped[bytes]
    iterations: Mapped[int]
    sealed: Mapped[bytes]
    created_at: Mapped[datetime]
    rotated_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    @property
    def user_name(self) -> str:
        """Return the Kafka user."""
        return user_name(self.organization_id, self.name)


async def get(tx: AsyncSession, reader_id: UUID, *, lock: bool = False) -> Reader:
    """Return a reader. Raises ReaderNotFound (404)."""
    query = select(Reader).where(Reader.reader_id == reader_id)
    row = (await tx.scalars(locked(query) if lock else query)).one_or_none()
    if row is None:
        raise ReaderNotFound(f"reader {reader_id} does not exist, or you may not see it")
    return row


async def list_of(tx: AsyncSession, *, organization_id: UUID | None, limit: int, after: tuple[datetime, UUID] | None) -> Sequence[Reader]:
    """Return an organization's readers (all of them when None), newest first, revoked ones too."""
    query = select(Reader)
    if organization_id is not None:
        query = query.where(Reader.organization_id == organization_id)
    return (await tx.scalars(newest_first(query, Reader.created_at, Reader.reader_id, limit=limit, after=after))).all()


async def count_unrevoked(tx: AsyncSession, organization_id: UUID) -> int:
    """Return how many readers an organization has; until the transaction ends nobody else counts them."""
    await tx.execute(select(func.pg_advisory_xact_lock(_COUNT_LOCK, func.hashtext(str(organization_id)))))
    query = select(func.count()).where(Reader.organization_id == organization_id, Reader.revoked_at.is_(None))
    return await tx.scalar(query) or 0


async def list_unrevoked(tx: AsyncSession) -> Sequence[Reader]:
    """Return every reader that is not revoked."""
    return (await tx.scalars(select(Reader).where(Reader.revoked_at.is_(None)).order_by(Reader.reader_id))).all()


async def topics_of(tx: AsyncSession, readers: Collection[Reader], *, now: datetime) -> Mapping[UUID, frozenset[str]]:
    """Return for each reader the topics it may read: of its organization's grants, and of the versions of them that are coming.

    A grant that names the systems it is for is read by the readers of those systems alone.
    """
    coming = aliased(View)
    query = (
        select(Grant.requester_id, Grant.terms["systems"], View.topic, coming.topic)
        .join(View, View.view_id == Grant.view_id)
        .outerjoin(coming, coming.view_id == View.successor_id)
        .where(Grant.requester_id.in_({reader.organization_id for reader in readers}), grants.is_read_by(Mode.TOPIC, now))
    )
    granted: dict[UUID, list[tuple[set[str], set[str]]]] = {}
    for organization_id, systems, *topics in await tx.execute(query):
        granted.setdefault(organization_id, []).append((set(systems or ()), {topic for topic in topics if topic is not None}))
    return {reader.reader_id: _topics(reader, granted.get(reader.organization_id, ())) for reader in readers}


def _topics(reader: Reader, granted: Iterable[tuple[set[str], set[str]]]) -> frozenset[str]:
    return frozenset(topic for systems, topics in granted if not systems or str(reader.system_id) in systems for topic in topics)


async def next_end(tx: AsyncSession, *, now: datetime) -> datetime | None:
    """Return when the next grant of an organization that has readers ends by itself."""
    has_readers = Grant.requester_id.in_(select(Reader.organization_id).where(Reader.revoked_at.is_(None)))
    return await tx.scalar(select(func.min(Grant.use_until)).where(grants.is_read_by(Mode.TOPIC, now), has_readers))
