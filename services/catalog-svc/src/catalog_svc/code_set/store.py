"""Code sets and their versions in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Integer, Text, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.code_set.errors import CodeSetNotFound
from catalog_svc.rows import Base


class CodeSet(Base):
    """A code set; version 0 is one whose first version is being written in this transaction."""

    __tablename__ = "code_set"
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)
    code_count: Mapped[int] = mapped_column(Integer)
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class CodeSetVersion(Base):
    """One version of a code set, never changed."""

    __tablename__ = "code_set_version"
    name: Mapped[str] = mapped_column(Text, ForeignKey("code_set.name"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    codes: Mapped[list[str]] = mapped_column(JSONB)
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


async def lock(tx: AsyncSession, name: str, *, title: str, now: datetime) -> CodeSet:
    """Return the code set with its row locked, made with version 0 when it is new."""
    fresh = insert(CodeSet).values(name=name, title=title, version=0, code_count=0, published_at=now)
    await tx.execute(fresh.on_conflict_do_nothing(index_elements=["name"]))
    return (await tx.scalars(select(CodeSet).where(CodeSet.name == name).with_for_update())).one()


async def get_version(tx: AsyncSession, name: str, version: int | None = None) -> CodeSetVersion:
    """Return a version of a code set, the newest when none is named. Raises: CodeSetNotFound (404)."""
    query = select(CodeSetVersion).where(CodeSetVersion.name == name).order_by(CodeSetVersion.version.desc()).limit(1)
    if version is not None:
        query = query.where(CodeSetVersion.version == version)
    row = await tx.scalar(query)
    if row is None:
        raise CodeSetNotFound(f"no code set {name!r}" + (f" has a version {version}" if version else " is known"))
    return row


async def newest_versions(tx: AsyncSession, names: Collection[str]) -> dict[str, int]:
    """Return the newest version of each of these code sets that exists."""
    rows = await tx.execute(select(CodeSet.name, CodeSet.version).where(CodeSet.name.in_(names)))
    return {row.name: row.version for row in rows}


async def list_page(tx: AsyncSession, *, q: str | None, after: str | None, limit: int) -> Sequence[CodeSet]:
    """Return up to limit + 1 code sets by name."""
    query = select(CodeSet).order_by(CodeSet.name).limit(limit + 1)
    if q:
        query = query.where(CodeSet.name.icontains(q, autoescape=True) | CodeSet.title.icontains(q, autoescape=True))
    if after is not None:
        query = query.where(CodeSet.name > after)
    return (await tx.scalars(query)).all()
