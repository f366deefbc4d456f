"""What changes credentials."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.credential import domain, store
from catalog_svc.credential.domain import Role
from catalog_svc.credential.hashing import SecretChecks
from catalog_svc.organization import store as organizations


async def create(
    tx: AsyncSession, checks: SecretChecks, organization_id: UUID, *, name: str, roles: Sequence[Role], now: datetime
) -> tuple[store.Credential, str]:
    """Give an organization a credential; the secret is returned once and kept as a hash.

    Raises: OrganizationNotFound (404), TooManyChecks (503).
    """
    await organizations.get(tx, organization_id)
    secret = domain.new_secret()
    row = store.Credential(
        client_id=domain.new_client_id(),
        organization_id=organization_id,
        name=name,
        roles=sorted({role.value for role in roles}),
        secret_hash=await checks.hash(secret),
        created_at=now,
        revoked_at=None,
    )
    tx.add(row)
    await tx.flush()
    return row, secret


async def revoke(tx: AsyncSession, organization_id: UUID, client_id: str, *, now: datetime) -> None:
    """End a credential: no new token from now on; tokens given out live to their own end. Doing it twice changes nothing.

    Raises: CredentialNotFound (404).
    """
    row = await store.get_of(tx, organization_id, client_id, lock=True)
    row.revoked_at = row.revoked_at or now


async def ensure_bootstrap(tx: AsyncSession, checks: SecretChecks, client_id: str, secret: str, *, now: datetime) -> None:
    """Make the node's first client hold the configured secret; any number of starts leave one credential.

    Raises: ValueError when the configured id is a department's credential, which must not become the node's.
    """
    known = await store.find(tx, client_id)
    if known is not None:
        if known.organization_id is not None:
            raise ValueError(f"BOOTSTRAP__CLIENT_ID {client_id} is the credential of an organization; choose another id")
        if known.revoked_at is None and await checks.matches(client_id, secret, known.secret_hash):
            return
    await store.put_node_wide(tx, client_id, name="bootstrap", roles=domain.BOOTSTRAP_ROLES, secret_hash=await checks.hash(secret), now=now)
