"""What is done to readers: registered, given a new password, revoked."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.exchange_readers import ReaderRegistered, ReaderRevoked, ReaderRotated
from exchange_svc.access import sees
from exchange_svc.catalog import store as catalog
from exchange_svc.reader import domain, scram, store
from exchange_svc.reader.errors import ReaderExists, ReaderNotFound


async def register(
    tx: AsyncSession, key: bytes, *, name: str, system_id: UUID | None, by: Principal, now: datetime
) -> tuple[store.Reader, str]:
    """Register a reader of the caller's organization; its password is returned once and not kept.

    The broker knows it as soon as the organization has a grant in force, within a moment of the commit.
    Raises: OrganizationUnknown (409), TooManyReaders (409), ReaderExists (409).
    Emits: exchange.reader.registered.v1.
    """
    organization = await catalog.get_organization(tx, by.own_organization)
    domain.check_count(await store.count_unrevoked(tx, organization.organization_id))
    password = scram.new_password()
    verifier = scram.verifier_of(password)
    user = domain.user_name(organization.organization_id, name)
    row = store.Reader(
        reader_id=uuid7(),
        organization_id=organization.organization_id,
        name=name,
        system_id=system_id,
        salt=verifier.salt,
        iterations=verifier.iterations,
        sealed=scram.seal(key, user, verifier.salted),
        created_at=now,
        rotated_at=now,
        revoked_at=None,
    )
    try:
        async with tx.begin_nested():
            tx.add(row)
    except IntegrityError as taken:
        raise ReaderExists(f"your organization has a reader {name}: give it a new password, or choose another name") from taken
    registered = ReaderRegistered(
        reader_id=row.reader_id,
        organization=organization.ref(),
        user_name=user,
        system_id=system_id,
        registered_by=by.subject,
        registered_at=now,
    )
    await outbox.add(tx, registered, now=now)
    return row, password


async def rotate(tx: AsyncSession, key: bytes, reader_id: UUID, *, by: Principal, now: datetime) -> tuple[store.Reader, str]:
    """Give a reader a new password; the old one lets nobody in from a moment after the commit.

    Connections that are open stay open: Kafka asks for the password only at the beginning of one.
    Raises: ReaderNotFound (404), ReaderRevoked (409).
    Emits: exchange.reader.rotated.v1.
    """
    row = await _own(tx, reader_id, by)
    domain.check_rotatable(revoked=row.revoked_at is not None)
    password = scram.new_password()
    verifier = scram.verifier_of(password)
    row.salt, row.iterations, row.rotated_at = verifier.salt, verifier.iterations, now
    row.sealed = scram.seal(key, row.user_name, verifier.salted)
    organization = await catalog.get_organization(tx, row.organization_id)
    rotated = ReaderRotated(
        reader_id=reader_id, organization=organization.ref(), user_name=row.user_name, rotated_by=by.subject, rotated_at=now
    )
    await outbox.add(tx, rotated, now=now)
    return row, password


async def revoke(tx: AsyncSession, reader_id: UUID, *, by: Principal, now: datetime) -> None:
    """End a reader: Kafka refuses it from a moment after the commit, also where it is connected. Doing it twice changes nothing.

    Raises: ReaderNotFound (404).
    Emits: exchange.reader.revoked.v1.
    """
    row = await _own(tx, reader_id, by)
    if row.revoked_at is not None:
        return
    row.revoked_at = now
    organization = await catalog.get_organization(tx, row.organization_id)
    revoked = ReaderRevoked(
        reader_id=reader_id, organization=organization.ref(), user_name=row.user_name, revoked_by=by.subject, revoked_at=now
    )
    await outbox.add(tx, revoked, now=now)


async def get_visible(tx: AsyncSession, reader_id: UUID, who: Principal) -> store.Reader:
    """Return a reader to its organization or the authority. Raises ReaderNotFound (404)."""
    row = await store.get(tx, reader_id)
    if not sees(who, row.organization_id):
        raise ReaderNotFound(f"reader {reader_id} does not exist, or you may not see it")
    return row


async def _own(tx: AsyncSession, reader_id: UUID, by: Principal) -> store.Reader:
    row = await store.get(tx, reader_id, lock=True)
    if row.organization_id != by.own_organization:
        raise ReaderNotFound(f"reader {reader_id} does not exist, or you may not see it")
    return row
