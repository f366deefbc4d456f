"""What enters many resources: each line in a transaction of its own, so that what is good stands whatever becomes of the others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from catalog_svc.bulk import domain, entering, store
from catalog_svc.bulk.definition import Assessments
from catalog_svc.bulk.domain import Line, Outcome, Report, Told, Until
from catalog_svc.organization import store as organizations
from catalog_svc.resource import commands as resources
from catalog_svc.resource import domain as resource_domain
from catalog_svc.resource import store as resource_store
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.domain import CodeScheme
from catalog_svc.step import commands as steps
from catalog_svc.step.domain import DraftState, Policy
from catalog_svc.system import store as systems
from dxmesh_clocks.policy import Policy as DeadlinePolicy
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.problem import Fault, Forbidden, Problem
from dxmesh_schemas.text import comparable, unseen

_REACHED = {
    DraftState.DRAFT.value: 0,
    DraftState.SUBMITTED.value: 1,
    DraftState.APPROVED.value: 2,
    DraftState.ANNOUNCED.value: 3,
    None: 3,
}


class _Refused(Exception):
    """A line that is not entered; ends its transaction."""

    def __init__(self, faults: list[Fault], slug: str = "resource-invalid") -> None:
        super().__init__(faults)
        self.faults, self.slug = faults, slug


@dataclass
class Import:
    """One import: who sends it, how far resources are taken, and the providers and systems it has met."""

    sessions: async_sessionmaker[AsyncSession]
    by: Principal
    until: Until
    policy: Policy
    scheme: CodeScheme
    deadlines: DeadlinePolicy
    public_url: str
    _providers: dict[str, UUID | None] = field(default_factory=dict)
    _systems: dict[tuple[UUID, str], UUID | None] = field(default_factory=dict)
    _found: dict[UUID, systems.System] = field(default_factory=dict)
    _codes: dict[UUID, str] = field(default_factory=dict)  # an organization's unified social credit code never changes
    _known: set[str] = field(default_factory=set)

    async def run(self, body: bytes, *, now: datetime) -> Report:
        """Enter every line and report on each.

        Raises: Forbidden (403).
        Emits: what the steps emit: catalog.resource.submitted.v1, .approved.v1, .published.v1, .changed.v1.
        """
        if not (self.by.has("authority") or self.by.has("steward")):
            raise Forbidden("resources are entered by a steward of the provider or the data authority")
        report = Report()
        earlier: dict[tuple[str, str], int] = {}
        lines = [(row, domain.read_line(row, raw)) for row, raw in domain.read_lines(body)]
        await self._look_up([line for _, line in lines if isinstance(line, Line)])
        for row, line in lines:
            if isinstance(line, list):
                report.told.append(Told(row, Outcome.REFUSED, faults=line, slug="unreadable"))
                continue
            name = line.entry.get("name")
            key = (line.provider or "", comparable(name) if isinstance(name, str) else f"\n{row}")
            if earlier.setdefault(key, row) != row:
                fault = ("/name", f"stands in row {earlier[key]} already; a provider's resources have different names")
                report.told.append(Told(row, Outcome.REFUSED, _text(name), faults=[fault], slug="resource-name-taken"))
                continue
            report.told.append(await self._take(line, now=now))
        return report

    async def _look_up(self, lines: list[Line]) -> None:
        """Read which names are there already: all others are entered without looking for them one by one."""
        names = {comparable(name) for line in lines if isinstance(name := line.entry.get("name"), str)}
        async with self.sessions() as session:
            self._known = await store.known_names(session, {name for name in names if unseen(name) is None})

    async def _take(self, line: Line, *, now: datetime) -> Told:
        """Enter one line; a problem ends its transaction and is told."""
        name = _text(line.entry.get("name"))
        try:
            try:
                async with self.sessions.begin() as tx:
                    return await self._enter(tx, line, now=now)
            except IntegrityError:
                # someone entered the name a moment ago: it is looked for now
                self._known.add(comparable(name or ""))
                async with self.sessions.begin() as tx:
                    return await self._enter(tx, line, now=now)
        except _Refused as refused:
            return Told(line.row, Outcome.REFUSED, name, faults=refused.faults, slug=refused.slug)
        except Problem as problem:
            if problem.status >= 500:
                raise
            found = [(error["pointer"], error["detail"]) for error in problem.members.get("errors", ())]
            return Told(line.row, Outcome.REFUSED, name, faults=found or [("", problem.detail)], slug=problem.slug)

    async def _enter(self, tx: AsyncSession, line: Line, *, now: datetime) -> Told:
        entry = await self._definition(tx, line)
        system = await self._system_of(tx, entry.system_id)
        known = None
        if comparable(entry.name) in self._known:
            known = await resource_store.find_by_name(tx, system.organization_id, comparable(entry.name), other_than=None)
        if known is None:
            assessed = _assessments(line) if Until.APPROVED in self.until.steps else {}
            row = await entering.enter(
                tx, entry, system, uscc=self._codes[system.organization_id], until=self.until, assessments=assessed,
                by=self.by, scheme=self.scheme, public_url=self.public_url, now=now,
            )  # fmt: skip
            return Told(line.row, Outcome.ENTERED, row.name, row.resource_id, row.draft_state or row.state)
        latest = Settled.model_validate(known.draft or known.definition)
        is_same = resource_domain.settle(entry, before=latest, now=now) == latest
        outcome = Outcome.UNCHANGED if is_same else Outcome.CHANGED
        row = known if is_same else await self._replace(tx, known.resource_id, entry, now=now)
        if await self._advance(tx, row, line, now=now) and outcome is Outcome.UNCHANGED:
            outcome = Outcome.ADVANCED
        return Told(line.row, outcome, row.name, row.resource_id, row.draft_state or row.state)

    async def _replace(self, tx: AsyncSession, resource_id: UUID, entry: Definition, *, now: datetime) -> resource_store.Resource:
        return await resources.replace(tx, resource_id, entry, by=self.by, revisions=None, now=now, scheme=self.scheme)

    async def _system_of(self, tx: AsyncSession, system_id: UUID) -> systems.System:
        """Return a system the caller may enter resources of."""
        if system_id not in self._found:
            system = await systems.find(tx, system_id)
            if system is None or not resources.may_edit(self.by, system.organization_id):
                raise _Refused([("/system_id", "is not a system of the provider; register it first under /v1/systems")])
            tx.expunge(system)  # it outlives this transaction, however that ends
            self._found[system_id] = system
            self._codes[system.organization_id] = (await organizations.get(tx, system.organization_id)).uscc
        return self._found[system_id]

    async def _definition(self, tx: AsyncSession, line: Line) -> Definition:
        """Return the entry with its system's id in place of its name."""
        entry: dict[str, Any] = dict(line.entry)
        faults: list[Fault] = []
        if line.system is not None:
            owner = await self._provider(tx, line.provider)
            system_id = await self._system(tx, owner, line.system) if owner is not None else None
            if owner is None:
                faults.append(("/provider", _no_provider(line.provider)))
            elif system_id is None:
                faults.append(("/system", f"the provider has no system {line.system!r}; register it first under /v1/systems"))
            entry["system_id"] = system_id or UUID(int=0)
        try:
            definition = Definition.model_validate(entry)
        except ValidationError as wrong:
            raise _Refused([*faults, *_faults(wrong)]) from wrong
        if faults:
            raise _Refused(faults)
        return definition

    async def _provider(self, tx: AsyncSession, named: str | None) -> UUID | None:
        """Return whose a line is: of the organization it names by code or by name, else the caller's own."""
        if named is None:
            return self.by.organization_id
        if named not in self._providers:
            found = await store.find_organizations(tx, named)
            mine = [one for one in found if resources.may_edit(self.by, one)]
            self._providers[named] = mine[0] if len(mine) == 1 else None
        return self._providers[named]

    async def _system(self, tx: AsyncSession, owner: UUID, name: str) -> UUID | None:
        key = (owner, comparable(name))
        if key not in self._systems:
            found = await systems.find_by_name(tx, *key)
            self._systems[key] = found.system_id if found is not None else None
        return self._systems[key]

    async def _advance(self, tx: AsyncSession, row: resource_store.Resource, line: Line, *, now: datetime) -> bool:
        """Take a draft as far as was asked; return whether there was a step left to go."""
        resource_id = row.resource_id
        reached = _REACHED[row.draft_state]
        for step in self.until.steps[reached:]:
            if step is Until.SUBMITTED:
                await steps.submit(tx, resource_id, reason=None, by=self.by, revisions=None, now=now)
            elif step is Until.APPROVED:
                assessed = _assessments(line)
                await steps.approve(
                    tx, resource_id, assessments=assessed, reason=None, by=self.by, revisions=None, deadlines=self.deadlines, now=now
                )
            else:
                await self._publish(tx, resource_id, now=now)
        return reached < len(self.until.steps)

    async def _publish(self, tx: AsyncSession, resource_id: UUID, *, now: datetime) -> None:
        if not self.by.has("authority"):
            raise Forbidden("resources are published by the data authority; import up to approved")
        await steps.publish(
            tx, resource_id, reason=None, notice_days=None, by=self.by, revisions=None,
            policy=self.policy, public_url=self.public_url, now=now,
        )  # fmt: skip


def _assessments(line: Line) -> Mapping[str, Mapping[str, Any]]:
    """Return what an approval rests on. Raises _Refused when the line does not say it."""
    if line.assessments is None:
        raise _Refused([("/assessments", "is missing: an approval rests on secrecy_risk and personal_information")], "approval-invalid")
    try:
        return Assessments.model_validate(line.assessments).model_dump(mode="json")
    except ValidationError as wrong:
        raise _Refused(_faults(wrong, "/assessments"), "approval-invalid") from wrong


def _no_provider(named: str | None) -> str:
    if named is None:
        return "is missing: this token has no organization; name the provider by its unified social credit code"
    return f"no single organization you act for is called {named!r} or has it as its code; use the unified social credit code"


def _text(name: object) -> str | None:
    """Return a name as the report may show it: half a surrogate pair, which JSON can write and UTF-8 cannot, becomes a question mark."""
    return name[:200].encode(errors="replace").decode() if isinstance(name, str) else None


def _faults(wrong: ValidationError, at: str = "") -> list[Fault]:
    found = []
    for error in wrong.errors(include_url=False, include_input=False):
        parts = [str(part).replace("~", "~0").replace("/", "~1") for part in error["loc"]]
        found.append((at + "/" + "/".join(parts), error["msg"].removeprefix("Value error, ")))
    return found


def as_json(told: Told) -> Mapping[str, Any]:
    """Return a line's report as it is sent."""
    return {
        "row": told.row,
        "outcome": told.outcome,
        "name": told.name,
        "resource_id": told.resource_id,
        "state": told.state,
        "slug": told.slug,
        "errors": [{"pointer": pointer, "detail": detail} for pointer, detail in told.faults],
    }
