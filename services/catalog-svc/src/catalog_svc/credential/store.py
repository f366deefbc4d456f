"""Client credentials in PostgreSQL; a secret is kept as its Argon2id hash only."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, ForeignKey, Index, Text, Uuid, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.credential.domain import Role
from catalog_svc.credential.errors import CredentialNotFound
from catalog_svc.rows import Base
from dxmesh_runtime.db import locked


class Credential(Base):
    """A client of the token endpoint; without organization it is node-wide."""

    __tablename__ = "credential"
    __table_args__ = (Index("ix_credential_organization_id", "organization_id"),)
    client_id: Mapped[str] = mapped_column(Text, primary_key=True)
    organization_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    name: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


async def find(tx: AsyncSession, client_id: str) -> Credential | None:
    """Return a credential, revoked ones too."""
    return await tx.get(Credential, client_id)


async def get_of(tx: AsyncSession, organization_id: UUID, client_id: str, *, lock: bool = False) -> Credential:
    """Return a credential of an organization. Raises: CredentialNotFound (404)."""
    query = select(Credential).where(Credential.organization_id == organization_id, Credential.client_id == client_id)
    row = await tx.scalar(locked(query) if lock else query)
    if row is None:
        raise CredentialNotFound(f"the organization has no credential {client_id!r}")
    return row


async def list_of(tx: AsyncSession, organization_id: UUID, *, after: str | None, limit: int) -> Sequence[Credential]:
    """Return up to limit + 1 credentials of an organization, by client id."""
    query = select(Credential).where(Credential.organization_id == organization_id).order_by(Credential.client_id).limit(limit + 1)
    if after is not None:
        query = query.where(Credential.client_id > after)
    return (await tx.scalars(query)).all()


async def put_node_wide(tx: AsyncSession, client_id: str, *, name: str, roles: Sequence[Role], secret_hash: str, now: datetime) -> None:
    """Make a node-wide credential hold this secret and these roles, whether it exists or not."""
    values = {"roles": [role.value for role in roles], "secret_hash": secret_hash, "revoked_at": None}
    statement = insert(Credential).values(client_id=client_id, organization_id=None, name=name, created_at=now, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=["client_id"], set_=values))
