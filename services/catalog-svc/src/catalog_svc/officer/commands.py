"""What fills and ends offices."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.credential import store as credentials
from catalog_svc.officer import domain, store
from catalog_svc.officer.domain import Term
from catalog_svc.officer.errors import CdoPresent, OfficeEnded, OfficeHeld, OfficerInvalid
from catalog_svc.organization import commands as organization_commands
from catalog_svc.organization import store as organizations
from catalog_svc.organization.domain import day_of
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import OfficerRole
from dxmesh_schemas.problem import Fault, Forbidden


def refuse_unfit(by: Principal, organization_id: UUID, role: OfficerRole) -> None:
    """Let the data authority fill every office, and an organization's chief data officer the others of its own. Raises: Forbidden (403)."""
    own = by.has("cdo") and by.organization_id == organization_id and role is not OfficerRole.CDO
    if not (own or by.has("authority")):
        raise Forbidden(
            "offices are filled by the data authority; stewards and sharing units also by the organization's own chief data officer"
        )


async def appoint(
    tx: AsyncSession, organization_id: UUID, *, role: OfficerRole, holder: str, term: Term, by: Principal, now: datetime
) -> store.Officer:
    """Give an office of an organization to a client or account.

    Raises: OrganizationNotFound (404), Forbidden (403), OfficerInvalid (422), CdoPresent (409), OfficeHeld (409).
    Emits: catalog.organization.changed.v1.
    Source: 政务数据共享条例 Art. 11; 粤办函〔2021〕63号 for the chief data officer.
    """
    refuse_unfit(by, organization_id, role)
    organization = await organizations.get(tx, organization_id, lock=True)
    _refuse(domain.term_faults(term) + await _holder_faults(tx, organization_id, holder))
    others = await store.list_role(tx, organization_id, role)
    place = domain.clash(role, holder, term, [(other.holder, other.term) for other in others])
    if place is not None:
        _refuse_clash(others[place], holder)
    row = store.Officer(
        officer_id=uuid7(),
        organization_id=organization_id,
        role=role.value,
        holder=holder,
        since=term.since,
        until=term.until,
        appointed_by=by.subject,
        appointed_at=now,
        ended_by=None,
        ended_at=None,
        reason=None,
    )
    tx.add(row)
    await organization_commands.announce(tx, organization, now=now)
    return row


async def end(
    tx: AsyncSession, organization_id: UUID, officer_id: UUID, *, until: date, reason: str, by: Principal, now: datetime
) -> store.Officer:
    """End a term of office: `until` is the first day on which it is no longer held.

    Raises: OrganizationNotFound, OfficerNotFound (404), Forbidden (403), OfficeEnded (409), OfficerInvalid (422).
    Emits: catalog.organization.changed.v1.
    """
    organization = await organizations.get(tx, organization_id, lock=True)
    row = await store.get_of(tx, organization_id, officer_id)
    refuse_unfit(by, organization_id, OfficerRole(row.role))
    if row.ended_at is not None or (row.until is not None and row.until <= day_of(now)):
        raise OfficeEnded(f"the term ended on {row.until}; what was is kept as it was, appoint anew instead")
    _refuse(domain.end_faults(row.term, until))
    row.until, row.reason, row.ended_by, row.ended_at = until, reason, by.subject, now
    await organization_commands.announce(tx, organization, now=now)
    return row


async def _holder_faults(tx: AsyncSession, organization_id: UUID, holder: str) -> list[Fault]:
    client = await credentials.find(tx, holder)
    if client is None:
        return []  # an account of another issuer
    if client.organization_id != organization_id:
        return [("/holder", "is not a client of this organization; name one of its own, or an account name")]
    if client.revoked_at is not None:
        return [("/holder", "is a client whose credential was revoked; make a new one and name it")]
    return []


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise OfficerInvalid.of(faults)


def _refuse_clash(known: store.Officer, holder: str) -> None:
    days = f"from {known.since} " + (f"until {known.until}" if known.until else "on")
    remedy = f"end that term first (POST /v1/organizations/{known.organization_id}/officers/{known.officer_id}/end) or begin after it"
    if known.holder == holder:
        raise OfficeHeld(f"{holder} holds this office {days}; nothing is to be done, or {remedy}", officer_id=str(known.officer_id))
    raise CdoPresent(f"{known.holder} is chief data officer {days}, and there is one at a time; {remedy}", officer_id=str(known.officer_id))
