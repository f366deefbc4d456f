"""Drafts of organizations' own code sets, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import DateTime, ForeignKey, Index, Integer, Text, Uuid, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, defer, mapped_column

from catalog_svc.code_draft.errors import CodeDraftNotFound
from catalog_svc.code_set.domain import About
from catalog_svc.code_set.entry import CodeSetKind, Entry
from catalog_svc.rows import Base

_ENTRIES = TypeAdapter(list[Entry])


class CodeSetDraft(Base):
    """What the next version of an organization's own code set is to say; its organization and the data authority see it."""

    __tablename__ = "code_set_draft"
    __table_args__ = (Index("ix_code_set_draft_organization_id", "organization_id"),)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    title: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    standard: Mapped[str | None] = mapped_column(Text)
    parent_set: Mapped[str | None] = mapped_column(Text)
    leading_source: Mapped[str | None] = mapped_column(Text)
    entries: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    entry_count: Mapped[int] = mapped_column(Integer)
    drafted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    drafted_by: Mapped[str] = mapped_column(Text)

    @property
    def about(self) -> About:
        """Return what the set is to be, beside its codes."""
        return About(self.title, CodeSetKind(self.kind), self.standard, self.parent_set, self.leading_source)

    @property
    def said(self) -> list[Entry]:
        """Return what the draft says of each code."""
        return _ENTRIES.validate_python(self.entries)

    def say(self, about: About, entries: Sequence[Entry], *, by: str, now: datetime) -> None:
        """Write what the draft says."""
        self.title, self.kind, self.standard = about.title, about.kind.value, about.standard
        self.parent_set, self.leading_source = about.parent_set, about.leading_source
        self.entries, self.entry_count = _ENTRIES.dump_python(list(entries), mode="json"), len(entries)
        self.drafted_at, self.drafted_by = now, by


async def find(tx: AsyncSession, name: str, *, lock: bool = False) -> CodeSetDraft | None:
    """Return the draft of a code set, if there is one."""
    return await tx.get(CodeSetDraft, name, with_for_update=lock, populate_existing=lock)


async def get(tx: AsyncSession, name: str, *, seen_by: UUID | None, lock: bool = False) -> CodeSetDraft:
    """Return the draft of a code set that an organization sees; None sees all. Raises: CodeDraftNotFound (404)."""
    row = await find(tx, name, lock=lock)
    if row is None or seen_by not in (None, row.organization_id):
        raise CodeDraftNotFound(f"no draft you may see is called {name!r}")
    return row


async def count(tx: AsyncSession, organization_id: UUID) -> int:
    """Count the drafts of an organization."""
    return await tx.scalar(select(func.count()).where(CodeSetDraft.organization_id == organization_id)) or 0


async def list_page(tx: AsyncSession, *, seen_by: UUID | None, after: str | None, limit: int) -> Sequence[CodeSetDraft]:
    """Return up to limit + 1 drafts by name, without their entries."""
    query = select(CodeSetDraft).options(defer(CodeSetDraft.entries)).order_by(CodeSetDraft.name).limit(limit + 1)
    if seen_by is not None:
        query = query.where(CodeSetDraft.organization_id == seen_by)
    return (await tx.scalars(query if after is None else query.where(CodeSetDraft.name > after))).all()
