"""Answering a token request."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from catalog_svc.credential import store
from catalog_svc.credential.hashing import SecretChecks
from catalog_svc.token import domain
from catalog_svc.token.errors import InvalidClient
from catalog_svc.token.issuer import Issuer
from dxmesh_schemas.text import unseen


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token and the roles it carries."""

    token: str
    roles: list[str]


async def grant_token(
    sessions: async_sessionmaker[AsyncSession], checks: SecretChecks, issuer: Issuer, request: domain.TokenRequest, *, now: datetime
) -> AccessToken:
    """Give a known client a token.

    An unknown client, a revoked one and a wrong secret cost the same work and get the same answer. The row is read in a transaction
    of its own, so that no connection is held while a secret is checked.

    Raises: InvalidClient, InvalidScope, TooManyChecks (503).
    """
    row = None
    if unseen(request.client_id) is None:
        async with sessions() as tx:
            row = await store.find(tx, request.client_id)
    known = row is not None and row.revoked_at is None
    right = await checks.matches(request.client_id, request.client_secret, row.secret_hash if row is not None and known else None)
    if row is None or not right:
        raise InvalidClient("the client is not known or its secret is wrong")
    roles = domain.granted_roles(row.roles, request.scope)
    return AccessToken(issuer.sign(client_id=row.client_id, organization_id=row.organization_id, roles=roles, now=now), roles)
