"""Everything of checkpoints that knows SQL."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from audit_svc.checkpoint.domain import Head
from audit_svc.checkpoint.errors import NoCheckpointYet
from audit_svc.log.store import Tree
from audit_svc.rows import Base


class Checkpoint(Base):
    """A signed checkpoint; its size is its name, so that no two can speak of one size."""

    __tablename__ = "checkpoint"
    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    root_hash: Mapped[bytes]
    note: Mapped[str]
    signed_at: Mapped[datetime]


async def find_newest(tx: AsyncSession) -> Checkpoint | None:
    """Return the checkpoint of the greatest tree."""
    return (await tx.scalars(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(1))).one_or_none()


async def get_newest(tx: AsyncSession) -> Checkpoint:
    """Return the checkpoint of the greatest tree. Raises: NoCheckpointYet (503)."""
    newest = await find_newest(tx)
    if newest is None:
        raise NoCheckpointYet("the log's worker signs the first one when it starts; try again shortly", retry_after_seconds=1)
    return newest


async def add(tx: AsyncSession, head: Head, note: str, *, now: datetime) -> None:
    """Write a checkpoint and note on the head that it is signed."""
    tx.add(Checkpoint(size=head.size, root_hash=head.root_hash, note=note, signed_at=now))
    await tx.execute(update(Tree).values(signed_size=head.size, signed_at=now))


async def set_published(tx: AsyncSession, size: int, *, now: datetime) -> None:
    """Note on the head which checkpoint was announced last."""
    await tx.execute(update(Tree).values(published_size=size, published_at=now))
