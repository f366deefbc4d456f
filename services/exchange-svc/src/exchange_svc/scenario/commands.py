"""What scenarios do: answer requests that name one, tell of grants that lost the ground it gave them, which their providers may confirm."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.working_days import day_of
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog import Level, OrganizationKind, ResourceSnapshot
from dxmesh_schemas.catalog_lists import ListEntryEvent
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange_sharing import GrantScenarioConfirmed, GrantScenarioLapsed
from exchange_svc.catalog import store as catalog
from exchange_svc.grant.domain import IN_FORCE
from exchange_svc.grant.store import Grant
from exchange_svc.scenario import domain, store
from exchange_svc.scenario.errors import ScenarioGrantNotFound
from exchange_svc.sharing_list import store as lists


async def answer(
    tx: AsyncSession, scenario_id: UUID, asked: domain.Asked, resource: ResourceSnapshot, requester_id: UUID, *, now: datetime
) -> tuple[ListEntryEvent, domain.Answer] | None:
    """Return what a scenario says to a request, and let nobody change the scenario until the transaction ends; None when it is not here."""
    entry = await lists.find(tx, scenario_id, "scenario", share=True)
    if entry is None:
        return None
    requester = asker(await catalog.get_organization(tx, requester_id))
    found = entry.read()
    return found, domain.authorizes(found, asked, resource, requester, day_of(now))


def asker(row: catalog.Organization) -> domain.Asker:
    """Return an organization as the rules look at it."""
    kind, level = (OrganizationKind(row.kind) if row.kind else None), (Level(row.level) if row.level else None)
    return domain.Asker(row.organization_id, kind, level)


async def note(
    tx: AsyncSession,
    entry: ListEntryEvent,
    answer: domain.Answer,
    *,
    grant_id: UUID,
    resource: ResourceSnapshot,
    requester_id: UUID,
    now: datetime,
) -> None:
    """Keep what a grant rests on."""
    tx.add(
        store.ScenarioGrant(
            grant_id=grant_id,
            scenario_id=entry.entry_id,
            scenario=entry.name,
            revision=entry.revision,
            approvals=[one.model_dump(mode="json") for one in answer.approvals],
            resource_id=resource.resource_id,
            requester_id=requester_id,
            provider_id=resource.provider.organization_id,
            granted_at=now,
        )
    )
    await tx.flush()


async def lapse(tx: AsyncSession, scenario_ids: Collection[UUID], *, now: datetime) -> int:
    """Tell of grants in force whose scenario ended or is not approved as it was; return how many. The caller changed the scenarios' rows.

    The grants themselves go on: a service is not ended without a reason of its own, and its provider suspends or ends what should not.
    Emits: exchange.grant.scenario_lapsed.v1 for each.
    Source: 政务数据共享条例 Art. 27.
    """
    entries = {row.entry_id: row.read() for row in await lists.list_by_id(tx, scenario_ids, "scenario")}
    said: list[Event] = []
    for row, grant in await store.list_resting(tx, entries):
        reason = domain.lapse_of(entries[row.scenario_id], row.read_approvals)
        if reason is None or grant.state_at(now) not in IN_FORCE:
            continue
        row.lapsed_at, row.lapse_reason = now, reason
        provider = (await catalog.get_resource(tx, row.resource_id)).read().provider
        said.append(
            GrantScenarioLapsed(
                grant_id=grant.grant_id,
                request_id=grant.request_id,
                resource_id=grant.resource_id,
                requester=grant.requester_ref,
                provider=provider,
                scenario_id=row.scenario_id,
                scenario=row.scenario,
                reason=reason,
                lapsed_at=now,
            )
        )
    await tx.flush()
    await outbox.add_all(tx, said, now=now)
    return len(said)


async def confirm(
    tx: AsyncSession, grant_id: UUID, *, approved_by: str, reason: str, by: Principal, now: datetime
) -> tuple[store.ScenarioGrant, Grant]:
    """Let a grant go on whose scenario authorizes no more, as its provider: it rests on the provider's own answer from now on.

    Raises: ScenarioGrantNotFound (404), ScenarioGrantStands (409).
    Emits: exchange.grant.scenario_confirmed.v1.
    Source: 政务数据共享条例 Art. 20 (an answer is approved by the head of the provider), 27.
    """
    row, grant = await store.get(tx, grant_id)
    if by.own_organization != row.provider_id:
        raise ScenarioGrantNotFound(f"grant {grant_id} was not given by a scenario, or you may not confirm it")
    domain.check_confirmable(grant.state_at(now), lapsed_at=row.lapsed_at, confirmed_at=row.confirmed_at)
    row.confirmed_at, row.confirmed_by, row.confirmation_reason = now, approved_by, reason
    await tx.flush()
    confirmed = GrantScenarioConfirmed(
        grant_id=grant.grant_id,
        request_id=grant.request_id,
        resource_id=grant.resource_id,
        requester=grant.requester_ref,
        scenario_id=row.scenario_id,
        scenario=row.scenario,
        reason=reason,
        confirmed_by=approved_by,
        confirmed_at=now,
    )
    await outbox.add(tx, confirmed, now=now)
    return row, grant
