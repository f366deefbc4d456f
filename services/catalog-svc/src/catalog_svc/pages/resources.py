"""The pages of data resources: searched and filtered, and each with its entry, versions, steps, and what the reader may do with it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.finding.domain import read_query
from catalog_svc.finding.entry import Scope
from catalog_svc.finding.errors import IndexNotReady
from catalog_svc.finding.watch import Finder
from catalog_svc.organization import store as organizations
from catalog_svc.pages import queries, view, words
from catalog_svc.pages.access import Viewer, own_only, sees_all
from catalog_svc.pages.fields import Form
from catalog_svc.pages.view import PageNumber, Words, plain
from catalog_svc.resource import commands, diff, domain, store
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.domain import KNOWN_TO_ALL, State
from catalog_svc.resource.errors import IllegalTransition, ResourceNotFound, RevisionPassed
from catalog_svc.step import commands as step_commands
from catalog_svc.step import domain as step_domain
from catalog_svc.step import store as steps
from catalog_svc.step.domain import DraftState, StepKind
from catalog_svc.system import store as systems
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_schemas.catalog import ResourceSnapshot

router = APIRouter(include_in_schema=False, prefix="/resources")
HERE = "resources"
_HISTORY = 200
_MOST_FOUND = 500
_NOT_THERE = "没有这个数据资源 There is no such resource"
_WAYS: dict[str, tuple[StepKind, commands.May]] = {
    "entry": (StepKind.DRAFTED, commands.may_edit),
    "submission": (StepKind.SUBMITTED, step_commands.may_submit),
    "approval": (StepKind.APPROVED, step_commands.may_approve),
    "publish": (StepKind.PUBLISHED, lambda who, _: who.has("authority")),
    "return": (StepKind.RETURNED, step_commands.may_return),
}


@router.get("")
async def list_resources(
    request: Request,
    who: Viewer,
    tx: Tx,
    q: Words = "",
    state: Literal["", "draft", "submitted", "approved", "announced", "published", "withdrawn"] = "",
    provider: UUID | None = None,
    system: UUID | None = None,
    page: PageNumber = 1,
) -> HTMLResponse:
    """Show the resources, searched and filtered."""
    text, own = plain(q), own_only(who)
    marks: dict[UUID, dict[str, Any]] | None = None
    is_loading = is_relaxed = False
    if text:
        try:
            marks, is_relaxed = _found(request, who, text, provider)
        except IndexNotReady:
            marks, is_loading = {}, True
    found = await queries.resources(
        tx, ids=None if marks is None else list(marks), of=own, state=state or None, provider=provider, system=system, page=page
    )
    return view.render(
        request,
        who,
        "resources.html",
        HERE,
        status=503 if is_loading else 200,
        found=found,
        marks=marks or {},
        most_found=_MOST_FOUND,
        is_loading=is_loading,
        is_relaxed=is_relaxed,
        own=own,
        q=text,
        state=state,
        provider=provider,
        system=system,
    )


def _found(request: Request, who: Principal, text: str, provider: UUID | None) -> tuple[dict[UUID, dict[str, Any]], bool]:
    """Return what the search index finds, the best first, with the words marked, and whether it holds only most of them.

    Raises: IndexNotReady (503).
    """
    finder: Finder = request.state.finder
    index, query = finder.index, read_query(text)
    scope = Scope(all=sees_all(who), organization_id=who.organization_id)
    filters = {"organization": str(provider)} if provider is not None else {}
    if not query.tokens:
        return {}, False
    found = {}
    best = index.search(query, scope, filters, limit=_MOST_FOUND)
    for entry in best.entries:
        marks = index.marks(entry, query)  # escaped but for its own <mark>
        items = [Markup(html) if html else code for code, _, html in marks.items]
        found[UUID(int=entry.resource_id.int)] = {"name": Markup(marks.name) if marks.name else None, "items": items}
    return found, best.is_relaxed


@router.get("/{resource_id}")
async def show_resource(
    request: Request, resource_id: str, who: Viewer, tx: Tx, version: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0
) -> HTMLResponse:
    """Show a resource: entry and items, the draft that waits, versions and what changed between them, every step, what to do next."""
    try:
        known = UUID(resource_id)
    except ValueError:
        return view.missing(request, who, HERE, _NOT_THERE)
    return await show(request, tx, known, who, version=version)


async def show(
    request: Request, tx: AsyncSession, resource_id: UUID, who: Principal, *, version: int = 0, refused: Form | None = None
) -> HTMLResponse:
    """Render a resource's page; `refused` is the form of a step that was not taken."""
    row = await find_visible(tx, resource_id, who)
    if row is None:
        return view.missing(request, who, HERE, _NOT_THERE)
    sees_draft = sees_all(who) or who.organization_id == row.organization_id
    versions = await store.list_versions(tx, row.resource_id, after=None, limit=_HISTORY, whole=True)
    draft = Settled.model_validate(row.draft) if row.draft is not None and sees_draft else None
    held = Settled.model_validate(row.definition) if row.definition is not None else None
    went = list(await steps.list_of(tx, row.resource_id, after=None, limit=_HISTORY))[::-1] if sees_draft else []
    latest = draft or held
    actions = actions_of(row, who)
    touched: Sequence[Any] = ()
    if "publish" in actions and held is not None:
        touched = (await step_commands.preview(tx, resource_id, by=who, now=utc_now())).touched
    return view.render(
        request,
        who,
        "resource.html",
        HERE,
        status=refused.problem.status if refused is not None and refused.problem is not None else 200,
        row=row,
        provider=await organizations.get(tx, row.organization_id),
        system=await systems.find(tx, row.system_id),
        entry=held or draft,
        draft=draft,
        draft_changes=diff.of(held, draft) if held is not None and draft is not None else None,
        versions=list(versions)[::-1],
        shown_version=version,
        version_changes=_changes(versions, version),
        steps=went,
        sees_draft=sees_draft,
        actions=actions,
        touched=touched,
        entry_text=latest.model_dump_json() if latest is not None else "",
        places=_places(latest) if "return" in actions else {},
        new_form=Form,
        refused=refused,
        passed=passed(refused, row, went) if refused is not None else None,
    )


async def find_visible(tx: AsyncSession, resource_id: UUID, who: Principal) -> store.Resource | None:
    """Return a resource the reader may know of: published ones are known to all, drafts to their provider and those who see all."""
    try:
        row = await store.get(tx, resource_id)
    except ResourceNotFound:
        return None
    is_known = State(row.state) in KNOWN_TO_ALL or sees_all(who) or who.organization_id == row.organization_id
    return row if is_known else None


def actions_of(row: store.Resource, who: Principal) -> list[str]:
    """Return what the reader may do with a resource as it stands, by the rules that the commands keep."""
    draft = DraftState(row.draft_state) if row.draft_state is not None else None
    found = []
    for name, (step, may) in _WAYS.items():
        try:
            step_domain.advance(State(row.state), draft, step)
        except IllegalTransition:
            continue
        if may(who, row.organization_id):
            found.append(name)
    try:
        domain.withdraw(State(row.state))
    except IllegalTransition:
        return found
    return [*found, "withdrawal"] if commands.may_edit(who, row.organization_id) else found


def passed(form: Form, row: store.Resource, went: Sequence[steps.ResourceStep]) -> dict[str, Any] | None:
    """Return what happened since a form was made that came too late: the steps, and what differs; None when it did not."""
    if not isinstance(form.problem, RevisionPassed):
        return None
    revision = form.value("revision")
    read = int(revision) if revision.isascii() and revision.isdigit() and len(revision) < 10 else 0
    now = row.draft if row.draft is not None else row.definition
    try:
        before = Settled.model_validate_json(form.value("read"))
    except ValidationError:
        before = None
    return {
        "steps": [step for step in went if step.revision > read],
        "changes": diff.of(before, Settled.model_validate(now)) if before is not None and now is not None else None,
    }


def _places(entry: Settled | None) -> dict[str, str]:
    """Return what a fault may point at, and what that is called: the fields of the entry, and its items."""
    items = enumerate(entry.items) if entry is not None else ()
    places = {f"/{name}": words.place(f"/{name}") for name in Definition.model_fields}
    return places | {f"/items/{number}": f"信息项 {number + 1} · {item.name}" for number, item in items}


def _changes(versions: Any, number: int) -> diff.Diff | None:
    """Return what a version changed, None for the first and for one that is not there."""
    snapshots = {one.version: one.snapshot for one in versions if one.version in (number, number - 1)}
    if len(snapshots) < 2:
        return None
    return diff.of(*(ResourceSnapshot.model_validate(snapshots[one]) for one in (number - 1, number)))
