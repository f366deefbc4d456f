"""What is done with results: register a key, end it, issue, revoke, recognise; and what a node says of one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.working_days import day_of
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.exchange_results import ResultIssued, ResultRecognised, ResultRevoked, ResultStatement
from exchange_svc.access import sees_all
from exchange_svc.catalog import store as catalog
from exchange_svc.result import domain, store
from exchange_svc.result.errors import IssuerKeyNotFound, IssuerKeyTaken, ResultInvalid, ResultNotFound, ResultTaken


async def register_key(tx: AsyncSession, given: Mapping[str, Any], proof: str, *, by: Principal, now: datetime) -> store.IssuerKey:
    """Register a department's public key; the same key again is the same answer.

    Raises: OrganizationUnknown (409), ResultInvalid (422), IssuerKeyTaken (409).
    """
    organization = await catalog.get_organization(tx, by.own_organization)
    jwk = domain.public_key(given)
    domain.check_possession(proof, jwk, organization.organization_id)
    values = {"kid": jwk["kid"], "organization_id": organization.organization_id, "jwk": jwk, "registered_at": now}
    key = await store.enter_key(tx, values)
    if key.organization_id != organization.organization_id:
        raise IssuerKeyTaken(f"key {key.kid} is another organization's; make a new one")
    if key.ended_at is not None:
        raise IssuerKeyTaken(f"key {key.kid} was ended at {key.ended_at.isoformat()} and is not used again; make a new one")
    return key


async def end_key(tx: AsyncSession, kid: str, *, reason: str, by: Principal, now: datetime) -> store.IssuerKey:
    """End a key: nothing more is issued under it; what was stays as it was signed.

    Raises: IssuerKeyNotFound (404), IssuerKeyTaken (409).
    """
    key = await store.find_key(tx, kid, lock=True)
    if key is None or key.organization_id != by.own_organization:
        raise IssuerKeyNotFound(f"your organization has no key {kid}")
    if key.ended_at is not None:
        raise IssuerKeyTaken(f"key {kid} was ended at {key.ended_at.isoformat()}")
    key.ended_at, key.end_reason = now, reason
    await tx.flush()
    return key


async def issue(
    tx: AsyncSession, signed: str, *, shared_with: Sequence[UUID] | None, by: Principal, now: datetime
) -> tuple[store.Result, bool]:
    """Take in a signed result; return it, and whether it is new. The same result again is the same answer.

    Raises: OrganizationUnknown (409), ResultInvalid (422), IssuerKeyNotFound (404), IssuerKeyTaken (409), ResultTaken (409).
    Emits: exchange.result.issued.v1.
    """
    issuer = (await catalog.get_organization(tx, by.own_organization)).ref()
    kid = domain.key_id(signed)
    key = await store.find_key(tx, kid)
    if key is None or key.organization_id != issuer.organization_id:
        raise IssuerKeyNotFound(f"your organization has no key {kid}; register it first")
    statement = domain.read(signed, key.jwk, today=day_of(now))
    if statement.issuer != issuer.organization_id:
        raise ResultInvalid.of([("/result/issuer", f"is {statement.issuer}; you act for {issuer.organization_id}")])
    named = None if shared_with is None else sorted({str(one) for one in shared_with})
    for number, one in enumerate(shared_with or ()):
        if await tx.get(catalog.Organization, one) is None:
            raise ResultInvalid.of([(f"/shared_with/{number}", f"{one} is no organization of this node")])
    row, is_new = await store.enter(tx, _values(statement, signed, kid, issuer.model_dump(mode="json"), named, now))
    if not is_new:
        if (row.jws, row.shared_with) != (signed, named) or row.issuer_id != issuer.organization_id:
            raise ResultTaken(f"result {statement.result_id} is another one: give a new result_id, or revoke the first")
        return row, False
    if key.ended_at is not None:
        raise IssuerKeyTaken(f"key {kid} was ended at {key.ended_at.isoformat()}: sign with one that is in use")
    issued = ResultIssued(
        result_id=row.result_id,
        issuer=issuer,
        statement=statement,
        jws=signed,
        jwk=key.jwk,
        shared_with=None if shared_with is None else tuple(shared_with),
        issued_at=now,
    )
    await outbox.add(tx, issued, now=now)
    return row, True


def _values(
    statement: ResultStatement, signed: str, kid: str, issuer: dict[str, Any], shared_with: list[str] | None, now: datetime
) -> dict[str, Any]:
    return {
        "result_id": statement.result_id,
        "issuer_id": statement.issuer,
        "issuer": issuer,
        "kid": kid,
        "kind": statement.kind,
        "subject": statement.subject,
        "statement": statement.model_dump(mode="json"),
        "jws": signed,
        "shared_with": shared_with,
        "issued_at": now,
    }


async def revoke(tx: AsyncSession, result_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.Result:
    """Take a result back, as its issuer. Raises: ResultNotFound (404), ResultTaken (409). Emits: exchange.result.revoked.v1."""
    row = await store.get(tx, result_id, lock=True)
    if row.issuer_id != by.own_organization:
        raise ResultNotFound(f"result {result_id} does not exist, or you did not issue it")
    if row.revoked_at is not None:
        raise ResultTaken(f"result {result_id} was revoked at {row.revoked_at.isoformat()}")
    row.revoked_at, row.revocation_reason = now, reason
    await tx.flush()
    await outbox.add(tx, ResultRevoked(result_id=result_id, issuer=row.issuer_ref, reason=reason, revoked_at=now), now=now)
    return row


async def recognise(
    tx: AsyncSession, result_id: UUID, *, accepted: bool, purpose: str, reason: str | None, by: Principal, now: datetime
) -> Sequence[store.Recognition]:
    """Say, once, that a result is used in place of an own check, or why it is not; return what departments said.

    Raises: ResultNotFound (404), OrganizationUnknown (409), ResultInvalid (422), ResultTaken (409).
    Emits: exchange.result.recognised.v1.
    """
    row = await get_visible(tx, result_id, by)
    organization = (await catalog.get_organization(tx, by.own_organization)).ref()
    if organization.organization_id == row.issuer_id:
        raise ResultInvalid.at("", "the result is your own; others recognise it")
    if not accepted and not (reason or "").strip():
        raise ResultInvalid.at("/reason", "say why the result is not recognised: give `reason`")
    if accepted and row.revoked_at is not None:
        raise ResultTaken(f"result {result_id} was revoked at {row.revoked_at.isoformat()}: it cannot be relied on")
    said = {
        "result_id": result_id,
        "organization_id": organization.organization_id,
        "organization": organization.model_dump(mode="json"),
        "accepted": accepted,
        "purpose": purpose,
        "reason": reason,
        "recognised_at": now,
    }
    if not await store.enter_recognition(tx, said):
        raise ResultTaken(f"{organization.name} said before what it made of result {result_id}")
    recognised = ResultRecognised(
        result_id=result_id, issuer=row.issuer_ref, by=organization, accepted=accepted, purpose=purpose, reason=reason, recognised_at=now
    )
    await outbox.add(tx, recognised, now=now)
    return await store.list_recognitions(tx, result_id)


async def get_visible(tx: AsyncSession, result_id: UUID, who: Principal) -> store.Result:
    """Return a result to who may have it. Raises: ResultNotFound (404)."""
    row = await store.get(tx, result_id)
    if not sees_all(who) and not domain.may_have(who.organization_id, issuer_id=row.issuer_id, shared_with=row.shared_with):
        raise ResultNotFound(f"result {result_id} does not exist, or you may not see it")
    return row


async def attest(tx: AsyncSession, row: store.Result, *, node: str, now: datetime) -> dict[str, Any]:
    """Return what this node says of a result now: whose key signed it, and whether it stands."""
    key = await store.find_key(tx, row.kid)
    assert key is not None, "a result refers to its key"
    return domain.attestation(
        node=node,
        signed=row.jws,
        issuer=row.issuer,
        jwk=key.jwk,
        key_ended_at=key.ended_at,
        revoked_at=row.revoked_at,
        now=now,
    )
