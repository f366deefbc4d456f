"""A new resource taken its whole way in one go: the rules are kept once, and all is written together.

What is written, and what is told, is what the single steps write and tell (`catalog_svc.step.commands`): a resource that nobody
knew before has no version in force that grants rely on, and no duty that its publication would meet.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.bulk.domain import Until
from catalog_svc.organization import store as organizations
from catalog_svc.resource import commands as resources
from catalog_svc.resource import domain as resource_domain
from catalog_svc.resource import rules, store
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.domain import CodeScheme, State
from catalog_svc.sharing_list import commands as lists
from catalog_svc.step import commands as steps
from catalog_svc.step import domain as step_domain
from catalog_svc.step.domain import DraftState, StepKind
from catalog_svc.step.errors import ApprovalInvalid
from catalog_svc.system.store import System
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog_events import ResourceApproved, ResourcePublished, ResourceSubmitted
from dxmesh_schemas.event import Event
from dxmesh_schemas.problem import Forbidden

Assessments = Mapping[str, Mapping[str, Any]]


async def enter(
    tx: AsyncSession,
    entry: Definition,
    system: System,
    *,
    until: Until,
    assessments: Assessments,
    by: Principal,
    scheme: CodeScheme,
    public_url: str,
    now: datetime,
) -> store.Resource:
    """Enter a resource that is not there yet, and take it as far as asked.

    Raises: Forbidden (403), ResourceInvalid (422), ApprovalInvalid (422); IntegrityError when its name is taken meanwhile.
    Emits: catalog.resource.submitted.v1, .approved.v1, .published.v1, as far as it is taken.
    """
    _refuse_role(by, system, until)
    organization = await organizations.get(tx, system.organization_id, lock=True)
    known = await _facts(tx, entry, system)
    settled = resource_domain.settle(entry, before=None, now=now)
    faults = rules.faults(entry, known)
    if until.steps:
        listed = await lists.negative_faults(tx, entry, organization_id=system.organization_id, resource_id=None)
        faults += [*rules.missing(settled), *listed]
    resources.refuse(faults)
    prefix = scheme.prefix(entry.class_path, organization.uscc)
    row = store.Resource(
        resource_id=uuid7(),
        organization_id=system.organization_id,
        resource_code=scheme.code(prefix, await store.next_number(tx, prefix)),
        state=State.DRAFT.value,
        draft_state=DraftState.DRAFT.value,
        version=0,
        revision=0,
        definition=None,
        draft=settled.model_dump(mode="json"),
        created_at=now,
    )
    row.show(settled)
    tx.add(row)
    resources.enter_step(tx, row, StepKind.DRAFTED, by=by.subject, role=resources.editor_role(by), now=now)
    events: list[Event] = []
    for step in until.steps:
        if step is Until.SUBMITTED:
            events.append(_submit(tx, row, organization, by=by, now=now))
        elif step is Until.APPROVED:
            events.append(_approve(tx, row, organization, settled, assessments, by=by, now=now))
        else:
            events.append(_publish(tx, row, organization, settled, by=by, public_url=public_url, now=now))
    await tx.flush()
    await outbox.add_all(tx, events, now=now)
    return row


def _refuse_role(by: Principal, system: System, until: Until) -> None:
    if Until.SUBMITTED in until.steps and not steps.may_submit(by, system.organization_id):
        raise Forbidden("a resource is submitted by a steward of its provider")
    if Until.APPROVED in until.steps and not steps.may_approve(by, system.organization_id):
        raise Forbidden("a resource is approved by its provider's CDO (role cdo)")
    if Until.PUBLISHED in until.steps and not by.has("authority"):
        raise Forbidden("resources are published by the data authority; import up to approved")


async def _facts(tx: AsyncSession, entry: Definition, system: System) -> rules.Facts:
    if entry.taxonomies or any(item.code_set or item.reference for item in entry.items):
        return await resources.facts(tx, entry, organization_id=system.organization_id, row=None)
    return rules.Facts(system_name=system.name)


def _waiting(row: store.Resource, organization: organizations.Organization) -> dict[str, Any]:
    provider = resources.provider_ref(organization)
    return {"resource_id": row.resource_id, "version": row.version + 1, "revision": row.revision, "provider": provider}


def _submit(tx: AsyncSession, row: store.Resource, organization: organizations.Organization, *, by: Principal, now: datetime) -> Event:
    resources.advance(row, StepKind.SUBMITTED)
    resources.enter_step(tx, row, StepKind.SUBMITTED, by=by.subject, role="steward", now=now)
    return ResourceSubmitted(**_waiting(row, organization), submitted_at=now, submitted_by=by.subject)


def _approve(
    tx: AsyncSession,
    row: store.Resource,
    organization: organizations.Organization,
    settled: Settled,
    assessments: Assessments,
    *,
    by: Principal,
    now: datetime,
) -> Event:
    resources.advance(row, StepKind.APPROVED)
    found = step_domain.assessment_faults(settled, assessments)
    if found:
        detail = "; ".join(f"{pointer}: {what}" for pointer, what in found)
        raise ApprovalInvalid(detail, errors=[{"pointer": pointer, "detail": what} for pointer, what in found])
    kept = {"assessments": {name: dict(one) for name, one in assessments.items()}}
    resources.enter_step(tx, row, StepKind.APPROVED, by=by.subject, role="cdo", now=now, detail=kept)
    return ResourceApproved(**_waiting(row, organization), approved_at=now, approved_by=by.subject)


def _publish(
    tx: AsyncSession,
    row: store.Resource,
    organization: organizations.Organization,
    settled: Settled,
    *,
    by: Principal,
    public_url: str,
    now: datetime,
) -> Event:
    resources.advance(row, StepKind.PUBLISHED)
    snapshot = resource_domain.snapshot(
        settled,
        resource_id=row.resource_id,
        resource_code=row.resource_code,
        version=1,
        provider=resources.provider_ref(organization),
        public_url=public_url,
        now=now,
    )
    event = ResourcePublished(resource_id=row.resource_id, resource=snapshot)
    if (size := len(event.encode())) > resource_domain.MAX_EVENT_BYTES:
        most = resource_domain.MAX_EVENT_BYTES
        resources.refuse([("/items", f"the entry takes {size} bytes as JSON; at most {most} fit one event: shorten it")])
    row.version, row.state = 1, State.PUBLISHED.value
    row.definition, row.draft, row.published_at, row.effective_at = row.draft, None, now, None
    resources.enter_step(tx, row, StepKind.PUBLISHED, by=by.subject, role="authority", now=now, version=1)
    tx.add(
        store.ResourceVersion(
            resource_id=row.resource_id,
            version=1,
            snapshot=snapshot.model_dump(mode="json"),
            published_at=now,
            published_by=by.subject,
        )
    )
    return event
