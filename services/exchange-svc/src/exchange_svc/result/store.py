"""The issuer_key, result and recognition tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.catalog import OrganizationRef
from exchange_svc.result.errors import ResultNotFound
from exchange_svc.rows import Base


class IssuerKey(Base):
    """A department's public key, under which it issues results."""

    __tablename__ = "issuer_key"
    __table_args__ = (Index("ix_issuer_key_organization", "organization_id"),)
    kid: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    jwk: Mapped[dict[str, Any]]
    registered_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]


class Result(Base):
    """A result as it was signed; shared_with: who may have it, null for every department."""

    __tablename__ = "result"
    __table_args__ = (
        Index("ix_result_issued", "issued_at", "result_id"),
        Index("ix_result_subject", "subject", "issued_at", "result_id"),
        Index("ix_result_issuer", "issuer_id", "issued_at", "result_id"),
    )
    result_id: Mapped[UUID] = mapped_column(primary_key=True)
    issuer_id: Mapped[UUID]
    issuer: Mapped[dict[str, Any]]
    kid: Mapped[str] = mapped_column(ForeignKey("issuer_key.kid"))
    kind: Mapped[str]
    subject: Mapped[str]
    statement: Mapped[dict[str, Any]]
    jws: Mapped[str]
    shared_with: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    issued_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revocation_reason: Mapped[str | None]

    @property
    def issuer_ref(self) -> OrganizationRef:
        """Return the organization that issued it."""
        return OrganizationRef.model_validate(self.issuer)


class Recognition(Base):
    """What another department made of a result."""

    __tablename__ = "recognition"
    result_id: Mapped[UUID] = mapped_column(ForeignKey("result.result_id"), primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    organization: Mapped[dict[str, Any]]
    accepted: Mapped[bool]
    purpose: Mapped[str]
    reason: Mapped[str | None]
    recognised_at: Mapped[datetime]


async def enter_key(tx: AsyncSession, values: dict[str, Any]) -> IssuerKey:
    """Enter a key if it is new; return the one that is there."""
    await tx.execute(insert(IssuerKey).values(values).on_conflict_do_nothing())
    return await tx.get_one(IssuerKey, values["kid"], populate_existing=True)


async def find_key(tx: AsyncSession, kid: str, *, lock: bool = False) -> IssuerKey | None:
    """Return a key, if it is known."""
    query = select(IssuerKey).where(IssuerKey.kid == kid)
    return (await tx.scalars(locked(query) if lock else query)).one_or_none()


async def list_keys(tx: AsyncSession, organization_id: UUID) -> Sequence[IssuerKey]:
    """Return an organization's keys, newest first."""
    query = select(IssuerKey).where(IssuerKey.organization_id == organization_id)
    return (await tx.scalars(query.order_by(IssuerKey.registered_at.desc(), IssuerKey.kid))).all()


async def enter(tx: AsyncSession, values: dict[str, Any]) -> tuple[Result, bool]:
    """Enter a result if its id is new; return the one that is there, and whether it is this one."""
    made = await tx.scalar(insert(Result).values(values).on_conflict_do_nothing().returning(Result.result_id))
    return await tx.get_one(Result, values["result_id"], populate_existing=True), made is not None


async def get(tx: AsyncSession, result_id: UUID, *, lock: bool = False) -> Result:
    """Return a result. Raises: ResultNotFound (404)."""
    query = select(Result).where(Result.result_id == result_id)
    row = (await tx.scalars(locked(query) if lock else query)).one_or_none()
    if row is None:
        raise ResultNotFound(f"result {result_id} does not exist, or you may not see it")
    return row


async def list_results(
    tx: AsyncSession,
    *,
    organization_id: UUID | None,
    subject: str | None,
    kind: str | None,
    issuer_id: UUID | None,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> Sequence[Result]:
    """Return results an organization may have (all of them when None), newest first."""
    query = select(Result)
    if organization_id is not None:
        named = Result.shared_with.contains(literal([str(organization_id)], JSONB))
        query = query.where(or_(Result.issuer_id == organization_id, Result.shared_with.is_(None), named))
    for column, wanted in ((Result.subject, subject), (Result.kind, kind), (Result.issuer_id, issuer_id)):
        if wanted is not None:
            query = query.where(column == wanted)
    return (await tx.scalars(newest_first(query, Result.issued_at, Result.result_id, limit=limit, after=after))).all()


async def enter_recognition(tx: AsyncSession, values: dict[str, Any]) -> bool:
    """Enter what a department made of a result; false when it said so before."""
    made = insert(Recognition).values(values).on_conflict_do_nothing().returning(Recognition.result_id)
    return await tx.scalar(made) is not None


async def list_recognitions(tx: AsyncSession, result_id: UUID) -> Sequence[Recognition]:
    """Return what departments made of a result, oldest first."""
    query = select(Recognition).where(Recognition.result_id == result_id)
    return (await tx.scalars(query.order_by(Recognition.recognised_at, Recognition.organization_id))).all()
