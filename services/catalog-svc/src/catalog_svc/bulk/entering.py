"""A new resource taken its whole way in one go: the rules are kept once, and all is written together.

What is written, and what is told, is what the single steps write and tell (`catalog_svc.step.commands`): a resource that nobody
knew before has no version in force that grants rely on, and no duty that its publication would meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.bulk import store as bulk_store
from catalog_svc.bulk.domain import Until
from catalog_svc.organization import commands as parties
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
from catalog_svc.step.store import ResourceStep
from catalog_svc.system.store import System
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_events import ResourceApproved, ResourcePublished, ResourceSubmitted
from dxmesh_schemas.event import Event
from dxmesh_schemas.problem import Forbidden

Assessments = Mapping[str, Mapping[str, Any]]


async def enter(
    tx: AsyncSession,
    entry: Definition,
    system: System,
    *,
    uscc: str,
    until: Until,
    assessments: Assessments,
    by: Principal,
    scheme: CodeScheme,
    public_url: str,
    now: datetime,
) -> store.Resource:
    """Enter a resource that is not there yet, and take it as far as asked; `uscc` is its provider's code.

    Raises: Forbidden (403), PaperNotGood (409), ResourceInvalid (422), ApprovalInvalid (422);
    IntegrityError when its name is taken meanwhile.
    Emits: catalog.resource.submitted.v1, .approved.v1, .published.v1, as far as it is taken.
    """
    _refuse_role(by, system, until)
    known = await _facts(tx, entry, system)
    settled = resource_domain.settle(entry, before=None, now=now)
    faults = [*rules.faults(entry, known), *(rules.missing(settled) if until.steps else ())]
    prefix = scheme.prefix(entry.class_path, uscc)
    provider, number, has_negatives, owes_paper = await bulk_store.begin(tx, system.organization_id, prefix)
    if until.steps and owes_paper:
        parties.refuse_without_paper(await organizations.get(tx, system.organization_id), now=now)
    if until.steps and has_negatives:
        faults += await lists.negative_faults(tx, entry, organization_id=system.organization_id, resource_id=None)
    resources.refuse(faults)
    row = store.Resource(
        resource_id=uuid7(),
        organization_id=system.organization_id,
        resource_code=scheme.code(prefix, number),
        state=State.DRAFT.value,
        draft_state=DraftState.DRAFT.value,
        version=0,
        revision=0,
        definition=None,
        draft=settled.model_dump(mode="json"),
        created_at=now,
    )
    row.show(settled)
    way = _Way(row, provider, settled, by, now)
    way.go(StepKind.DRAFTED, role=resources.editor_role(by))
    for step in until.steps:
        if step is Until.SUBMITTED:
            way.submit()
        elif step is Until.APPROVED:
            way.approve(assessments)
        else:
            way.publish(public_url)
    await bulk_store.enter(tx, row, way.steps, way.version, way.told)
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


@dataclass
class _Way:
    """A new resource on its way into force: the steps it goes, what is told of them as the outbox has it, and the version they lead to."""

    row: store.Resource
    provider: OrganizationRef
    settled: Settled
    by: Principal
    now: datetime
    steps: list[ResourceStep] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    version: store.ResourceVersion | None = None

    def go(self, step: StepKind, *, role: str, detail: dict[str, Any] | None = None, version: int | None = None) -> None:
        """Go a step."""
        if step is not StepKind.DRAFTED:
            resources.advance(self.row, step)
        by = self.by.subject
        self.steps.append(resources.count_step(self.row, step, by=by, role=role, now=self.now, detail=detail, version=version))

    def tell(self, event: Event) -> bytes:
        """Tell an event; return its payload."""
        self.told.append(outbox.entry(event, now=self.now)[1])
        payload: bytes = self.told[-1]["payload"]
        return payload

    def submit(self) -> None:
        """Hand the draft in."""
        self.go(StepKind.SUBMITTED, role="steward")
        self.tell(ResourceSubmitted(**self._waiting(), submitted_at=self.now, submitted_by=self.by.subject))

    def approve(self, assessments: Assessments) -> None:
        """Approve it. Raises: ApprovalInvalid (422)."""
        found = step_domain.assessment_faults(self.settled, assessments)
        if found:
            raise ApprovalInvalid.of(found)
        kept = {"assessments": {name: dict(one) for name, one in assessments.items()}}
        self.go(StepKind.APPROVED, role="cdo", detail=kept)
        self.tell(ResourceApproved(**self._waiting(), approved_at=self.now, approved_by=self.by.subject))

    def publish(self, public_url: str) -> None:
        """Put it in force as its first version. Raises: ResourceInvalid (422) when it is too large for an event."""
        row = self.row
        snapshot = resource_domain.snapshot(
            self.settled,
            resource_id=row.resource_id,
            resource_code=row.resource_code,
            version=1,
            provider=self.provider,
            public_url=public_url,
            now=self.now,
        )
        payload = self.tell(ResourcePublished(resource_id=row.resource_id, resource=snapshot))
        if (size := len(payload)) > resource_domain.MAX_EVENT_BYTES:
            most = resource_domain.MAX_EVENT_BYTES
            resources.refuse([("/items", f"the entry takes {size} bytes as JSON; at most {most} fit one event: shorten it")])
        row.state, row.version = State.PUBLISHED.value, 1
        row.definition, row.draft, row.published_at, row.effective_at = row.draft, None, self.now, None
        self.go(StepKind.PUBLISHED, role="authority", version=1)
        self.version = store.ResourceVersion(
            resource_id=row.resource_id,
            version=1,
            snapshot=orjson.loads(payload)["resource"],  # what the event says, and quicker than writing it out again
            published_at=self.now,
            published_by=self.by.subject,
        )

    def _waiting(self) -> dict[str, Any]:
        row = self.row
        return {"resource_id": row.resource_id, "version": row.version + 1, "revision": row.revision, "provider": self.provider}
